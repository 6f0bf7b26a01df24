"""What a user can send, to a whole process: forms of streams, answers of HTTP, kinds of addresses."""

import json
import socket
import urllib.error
import urllib.request

import msgpack
import pytest
import yaml

ELEMENT = (
    b'<log4j:event logger="shop.cart" timestamp="1286198926000" level="WARN" thread="main">\n'
    b"  <log4j:message><![CDATA[two\nlines]]></log4j:message>\n</log4j:event>\n"
)


@pytest.fixture
def route(start, tmp_path):
    """Start a router with one listener ``in`` and a file as its target, or another one."""

    def run(component, *, target=None, buffer=None, **settings):
        file = tmp_path / "router.yaml"
        out = {"name": "out", **(target or {"file": {"path": str(tmp_path / "out"), "codec": "json"}})}
        listener = {"name": "in", component: {"bind": "127.0.0.1:0", **settings}}
        if buffer:
            out["buffer"] = buffer
        file.write_text(yaml.safe_dump({"listeners": [listener], "targets": [out]}))
        return start("router", "--config", str(file))

    return run


@pytest.fixture
def events(tmp_path, wait_until):
    """Wait for so many events in the file."""

    def read(count):
        out = tmp_path / "out"
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= count)
        return [json.loads(line) for line in out.read_bytes().splitlines()]

    return read


def post(rutta, data=b"{}", path="/", **headers):
    """Post, and return status, headers and body."""
    url = "http://{}:{}{}".format(*rutta.binding("in"), path)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=15) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.headers, exc.read()


def sent_in_pieces(rutta, data, size):
    with socket.create_connection(rutta.binding("in")) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), size):
            peer.sendall(data[at : at + size])


def test_elements_of_log4j_over_many_lines_and_reads_are_events(route, events):
    sent_in_pieces(route("tcp", codec="log4jxml"), ELEMENT * 2, 50)
    found = events(2)
    assert [(one["event"], one["name"], one["level"]) for one in found] == [("two\nlines", "shop.cart", "warn")] * 2


def test_a_stream_of_binary_objects_comes_by_tcp(route, events):
    objects = [msgpack.packb([1, {"type": "event", "event": f"{n}", "fields": {"n": 2**53 + n}}]) for n in range(3)]
    sent_in_pieces(route("tcp", codec="binary"), b"".join(objects), 7)
    assert [(one["event"], one["fields"]["n"]) for one in events(3)] == [(f"{n}", 2**53 + n) for n in range(3)]


def test_anything_else_than_binary_is_one_clear_error_and_the_process_goes_on(route, events, wait_until):
    rutta = route("udp", codec="binary")
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.sendto(b"\x80\x04\x95 a pickle", rutta.binding("in"))
        peer.sendto(msgpack.packb([1, {"type": "event", "event": "good"}]), rutta.binding("in"))
    assert [one["event"] for one in events(1)] == ["good"]
    (listener,) = rutta.status()["listeners"]
    assert listener["errors"] == {"codec": 1}
    assert "a .NET pickle of the original cannot be read safely" in listener["lastError"]


def test_octet_counted_frames_may_hold_newlines(route, events):
    sent_in_pieces(route("tcp", codec="plain", octetCounted=True), b"3 one7 two\nand5 three", 4)
    assert [one["event"] for one in events(3)] == ["one", "two\nand", "three"]


def test_http_answers_as_the_original_did_and_keeps_what_headers_tell(route, events):
    rutta = route("http")
    status, _, body = post(rutta, b'[{"message":"a"},{"message":"b"}]', "/i/logary", X_Forwarded_For="192.0.2.1")
    assert (status, body) == (201, b"true")
    assert [one["event"] for one in events(2)] == ["a", "b"]
    assert {one["context"]["x-forwarded-for"] for one in events(2)} == {"192.0.2.1"}
    status, _, body = post(rutta, b'[{"message":"a"},5]')
    assert status == 400
    assert json.loads(body).startswith("Found 1 error:\n  [1]")
    assert post(rutta, path="/elsewhere")[::2] == (404, b"false")
    assert len(events(2)) == 2


def test_a_queue_that_stays_full_is_503_with_retry_after_and_nothing_is_lost(route, wait_until):
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never answers
        target = {"http": {"endpoint": f"http://127.0.0.1:{hole.getsockname()[1]}/"}}
        rutta = route("http", target=target, buffer={"maxBytes": "1Ki", "whenFull": "Block"}, maxWait="50ms")
        accepted = 0
        while (answer := post(rutta, b'{"message":"%s"}' % (b"x" * 400)))[0] == 201:
            accepted += 1
            assert accepted < 100
        status, headers, _ = answer
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        (told,) = rutta.status()["targets"]
        assert (told["received"], told["held"], told["dropped"], told["queue"]["full"]) == (
            accepted,
            accepted,
            {},
            True,
        )


def test_delivered_is_answered_when_the_file_has_the_event_and_503_when_nobody_takes_it(route, tmp_path, start):
    rutta = route("http", acknowledge="Delivered")
    for number in range(1, 4):
        assert post(rutta)[::2] == (201, b"true")
        assert (tmp_path / "out").read_bytes().count(b"\n") == number
    nobody = {"http": {"endpoint": "http://127.0.0.1:1/"}}
    rutta = route("http", target=nobody, acknowledge="Delivered", acknowledgeTimeout="100ms")
    status, headers, _ = post(rutta)
    assert status == 503
    assert "Retry-After" in headers


def test_the_open_circuit_of_a_dead_target_is_on_status_and_in_metrics(start, tmp_path, wait_until):
    file = tmp_path / "router.yaml"
    dead = {"name": "dead", "http": {"endpoint": "http://127.0.0.1:1/"}, "retry": {"initial": "1ms", "max": "5ms"}}
    document = {"listeners": [{"name": "in", "tcp": {"bind": "127.0.0.1:0"}}], "targets": [dead]}
    file.write_text(yaml.safe_dump(document))
    rutta = start("router", "--config", str(file))
    rutta.send("in", b"{}\n")
    wait_until(lambda: rutta.status()["targets"][0]["state"] == "CircuitOpen", rutta.tell)
    (told,) = rutta.status()["targets"]
    assert "127.0.0.1:1" in told["lastError"]
    assert told["trouble"]
    assert told["trouble"] in told["lastError"]
    assert "tried again" not in told["trouble"]  # an operator compares it: it must not change with every try
    assert told["retries"] >= 5
    page = rutta.get("/metrics")[1]
    assert 'rutta_target_state{state="CircuitOpen",target="dead"} 1.0' in page
    assert 'rutta_target_state{state="Healthy",target="dead"} 0.0' in page
    assert rutta.get("/readyz")[0] == 200


BINDINGS = "127.0.0.1:0,[::1]:0,localhost:0"


@pytest.mark.parametrize("component", ["tcp", "http", "pull", "link"])
def test_every_kind_of_address_is_bound_told_and_reachable(start, tmp_path, component):
    file = tmp_path / "router.yaml"
    listener = {"name": "in", component: {"bind": BINDINGS}}
    file.write_text(yaml.safe_dump({"listeners": [listener], "targets": [{"noop": {}}]}))
    rutta = start("router", "--config", str(file))
    told = rutta.event("listening")["bindings"]
    assert rutta.status()["listeners"][0]["bindings"] == told
    assert told[0].startswith("127.0.0.1:")
    assert told[1].startswith("[::1]:")
    assert len(told) >= 3
    for one in told:
        host, _, port = one.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
