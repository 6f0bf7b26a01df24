"""What ``/metrics`` says of links: who is connected, what was moved, what a dead receiver took with it."""

import signal

import yaml

NOBODY = "127.0.0.1:9"  # dialled for ever


def test_links_tell_who_is_connected_and_what_a_dead_receiver_took_with_it(start, tmp_path, wait_until):
    here = configured(
        start, tmp_path / "router.yaml", "router",
        listeners=[
            {"name": "once", "link": {"bind": "127.0.0.1:0"}},
            {"name": "least", "link": {"bind": "127.0.0.1:0", "delivery": "AtLeastOnce"}},
            {"name": "cast", "link": {"bind": "127.0.0.1:0", "pattern": "Broadcast"}},
        ],
        targets=[{"noop": {}}],
    )  # fmt: skip
    there = configured(
        start, tmp_path / "shipper.yaml", "shipper",
        sources=[{"name": "tcp", "tcp": {"bind": "127.0.0.1:0"}}],
        targets=[
            link_to(here, "once"),
            link_to(here, "least"),
            link_to(here, "cast", pattern="Broadcast"),
        ],
    )  # fmt: skip
    there.send("tcp", b"{}\n")
    wait_for(
        wait_until, there,
        'rutta_link_peers{component="link/once"} 1.0',
        'rutta_link_peers{component="link/cast"} 1.0',
        'rutta_events_delivered_total{target="once"} 1.0',
        'rutta_events_delivered_total{target="least"} 1.0',
        'rutta_link_blocks_total{component="link/least"} 1.0',
        'rutta_link_bytes_total{component="link/least"} 3.0',
        'rutta_link_possibly_lost_total{component="link/once"} 0.0',
        'rutta_link_sent_again_total{component="link/least"} 0.0',
    )  # fmt: skip
    page = wait_for(
        wait_until, here,
        'rutta_link_peers{component="listener/once"} 1.0',
        'rutta_link_peers{component="listener/cast"} 1.0',
        'rutta_link_blocks_total{component="listener/cast"} 1.0',
        'rutta_link_gaps_total{component="listener/cast"} 0.0',
        'rutta_link_duplicates_total{component="listener/least"} 0.0',
    )  # fmt: skip
    assert 'rutta_link_gaps_total{component="listener/once"}' not in page
    assert 'rutta_link_possibly_lost_total{component="listener' not in page

    here.process.send_signal(signal.SIGSTOP)
    there.send("tcp", b"{}\n")
    wait_for(
        wait_until, there,
        'rutta_link_possibly_lost_total{component="link/once"} 1.0',
        'rutta_events_dropped_total{component="link/once",reason="possibly_lost"} 1.0',
        'rutta_link_sent_again_total{component="link/least"} 1.0',
        'rutta_events_held{component="link/least"} 1.0',
        'rutta_link_peers{component="link/once"} 0.0',
        'rutta_link_peers{component="link/least"} 0.0',
    )  # fmt: skip


def configured(start, file, role, **document):
    file.write_text(yaml.safe_dump(document))
    return start(role, "--config", str(file))


def link_to(router, name, **more):
    host, port = router.binding(name)
    return {"name": name, "link": {"addresses": [f"{host}:{port}", NOBODY], "heartbeat": "0.5s", **more}}


def wait_for(wait_until, rutta, *lines):
    """Wait until all of these stand on the page of metrics, and return it."""
    found = []

    def missing():
        page = rutta.get("/metrics")[1]
        found[:] = [page]
        return [line for line in lines if line not in page]

    wait_until(lambda: not missing(), lambda: f"{missing()}\n{found[0]}\n{rutta.tell()}")
    return found[0]
