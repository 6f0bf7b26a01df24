"""Lists of bindings: read, bound, shown, refused."""

import socket

import pytest

from rutta.errors import ConfigError
from rutta.net import bindings
from rutta.net.bindings import Binding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:10001", [("0.0.0.0", 10001)]),
        ("127.0.0.1:1, [::1]:2", [("127.0.0.1", 1), ("::1", 2)]),
        ("[::]:0", [("::", 0)]),
        (":::8080", [("::", 8080)]),
        ("*:80", [("*", 80)]),
        (":80", [("*", 80)]),
        ("logs.example:514", [("logs.example", 514)]),
    ],
)
def test_a_list_is_split_at_commas_and_last_colons(text: str, expected: list[tuple[str, int]]) -> None:
    assert bindings.parse(text) == tuple(Binding(*one) for one in expected)


@pytest.mark.parametrize(
    "text", ["", "80", "host", "host:", "host:x", "host:-1", "host:65536", "host:8 0", "[::1:80", "a:1,,b:2"]
)
def test_what_is_no_binding_is_refused_with_an_example_or_the_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a binding(; write host:port, for example|: .* is not a port)"):
        bindings.parse(text)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_every_kind_of_address_is_bound_and_shown_with_its_real_port(kind: socket.SocketKind) -> None:
    sockets = await bindings.bind("127.0.0.1:0,[::1]:0,localhost:0,*:0", listener="in", kind=kind)
    try:
        shown = [bindings.shown(sock) for sock in sockets]
        assert shown[0].startswith("127.0.0.1:")
        assert shown[1].startswith("[::1]:")
        assert not any(one.endswith(":0") for one in shown)
    finally:
        bindings.close(sockets)


async def test_a_host_name_with_both_families_gets_one_port() -> None:
    sockets = await bindings.bind("localhost:0", listener="in")
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        bindings.close(sockets)


async def test_ipv6_for_all_takes_ipv4_too_unless_that_is_bound_beside_it() -> None:
    (both,) = await bindings.bind("[::]:0", listener="in")
    port = both.getsockname()[1]
    with both, socket.create_connection(("127.0.0.1", port)):
        pass
    beside = await bindings.bind(f"0.0.0.0:{port},[::]:{port}", listener="in")
    bindings.close(beside)
    assert len(beside) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.1:0", "this machine has no such address"),
        ("no-such-host.invalid:80", "the host name cannot be resolved"),
        ("host:99999", "'99999' is not a port"),
    ],
)
async def test_what_cannot_be_bound_is_one_sentence_with_listener_address_and_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await bindings.bind(text, listener="web", kind=socket.SOCK_STREAM)
    said = str(caught.value)
    assert said.startswith("the listener web cannot bind")
    assert text.rpartition(":")[0] in said
    assert reason in said
    assert "\n" not in said


async def test_a_datagram_port_in_use_is_not_shared_unasked() -> None:
    (first,) = await bindings.bind("127.0.0.1:0", listener="in", kind=socket.SOCK_DGRAM)
    with first, pytest.raises(ConfigError, match="another process"):
        await bindings.bind(bindings.shown(first), listener="in", kind=socket.SOCK_DGRAM)
