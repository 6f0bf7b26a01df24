"""The http target against a server that answers as told, faults included."""

import asyncio
import email.utils
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import zstandard
from aiohttp import web

from rutta import conversion, formats
from rutta.errors import ConfigError, Reject, Retry
from rutta.message import Batch
from rutta.net.http_client import Client, Login, compressed, retry_after
from rutta.settings import ClientTls, Secret
from rutta.targets import DELIVERED
from rutta.targets.http import Config, Http, from_uri, make

Make = Callable[..., Awaitable[Http]]


@pytest_asyncio.fixture
async def opened(server: Any) -> AsyncIterator[Make]:
    """``await opened(codec="json")`` is an open target that sends to the server's ``/logs``."""
    made: list[Http] = []

    async def build(**given: Any) -> Http:
        target = make(conversion.convert({"endpoint": f"{server.url}/logs?tenant=a%2Fb", **given}, Config), "web")
        made.append(target)
        await target.open()
        return target

    yield build
    for target in made:
        await target.close()


async def test_batches_of_one_send_are_one_request_as_they_came(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened()
    batches = [batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})]
    assert await target.send(batches) == DELIVERED
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.query) == ("POST", "/logs", {"tenant": "a/b"})
    assert seen.body == b"".join(one.rows.payload() for one in batches)
    assert seen.headers["Content-Type"] == "application/x-ndjson"
    assert seen.headers["User-Agent"].startswith("rutta/")


@pytest.mark.parametrize("codec", ["ndjson", "json", "logfmt", "plain", "msgpack"])
async def test_each_codec_sends_what_the_formats_make_of_it(
    opened: Make, server: Any, batch: Callable[..., Batch], codec: Any
) -> None:
    target = await opened(codec=codec, method="PUT")
    one = batch({"event": "a"}, {"event": "b"})
    await target.send([one])
    assert server.seen[0].method == "PUT"
    assert server.seen[0].body == formats.encode(one, formats.Format(codec))
    assert target.columns == formats.columns_of(formats.Format(codec))


@pytest.mark.parametrize("codec", ["ndjson", "json"])
async def test_an_array_is_one_json_text_of_all_events(
    opened: Make, server: Any, batch: Callable[..., Batch], codec: str
) -> None:
    target = await opened(codec=codec, body="Array")
    await target.send([batch({"event": "a\nb"}, {"event": "c"}), batch({"event": "d"})])
    assert [event["event"] for event in json.loads(server.seen[0].body)] == ["a\nb", "c", "d"]
    assert server.seen[0].headers["Content-Type"] == "application/json"


async def test_headers_may_be_secrets_and_win_over_our_own(
    opened: Make, server: Any, batch: Callable[..., Batch], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    target = await opened(headers={"X-Key": {"file": f"{tmp_path}/key"}, "content-type": "text/x-mine"})
    await target.send([batch({"event": "a"})])
    assert server.seen[0].headers["X-Key"] == "s3cret"
    assert server.seen[0].headers.getall("Content-Type") == ["text/x-mine"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"bearer": "t0ken"}, "Bearer t0ken"),
        ({"username": "ann", "password": "p:w+ü"}, "Basic YW5uOnA6dyvDvA=="),
    ],
)
async def test_credentials_go_into_the_authorization_header(
    opened: Make, server: Any, batch: Callable[..., Batch], given: dict[str, str], expected: str
) -> None:
    target = await opened(**given)
    await target.send([batch({"event": "a"})])
    assert server.seen[0].headers["Authorization"] == expected


async def test_a_rotated_secret_is_taken_at_the_next_try(
    opened: Make, server: Any, batch: Callable[..., Batch], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    target = await opened(bearer={"file": str(token)})
    with pytest.raises(Retry, match=r"secret file .* cannot be read"):
        await target.send([batch({"event": "a"})])
    token.write_text("old")
    server.answers = [web.Response(status=401, text="old is not welcome")]
    with pytest.raises(Retry, match=r"answered 401 Unauthorized: \*\*\* is not welcome; check the credentials"):
        await target.send([batch({"event": "a"})])
    token.write_text("new")
    await target.send([batch({"event": "a"})])
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize(("how", "word"), [("Gzip", "gzip"), ("Zstd", "zstd")])
@pytest.mark.parametrize("size", [10, 100_000])
async def test_bodies_are_compressed_when_asked_for(how: str, word: str, size: int) -> None:
    import gzip

    body = bytes(range(256)) * (size // 10)
    packed, headers = await compressed(body, how)
    assert headers == {"Content-Encoding": word}
    unpack = gzip.decompress if how == "Gzip" else zstandard.ZstdDecompressor().decompress
    assert unpack(packed) == body


async def test_a_compressed_request_says_so(opened: Make, server: Any, batch: Callable[..., Batch]) -> None:
    target = await opened(compression="Gzip")
    one = batch({"event": "a"})
    await target.send([one])
    assert server.seen[0].headers["Content-Encoding"] == "gzip"
    assert server.seen[0].body == one.rows.payload(), "the server inflated it"


async def test_a_body_of_many_megabytes_goes_out_whole(opened: Make, server: Any, batch: Callable[..., Batch]) -> None:
    target = await opened()
    one = batch(*({"event": "x" * 10_000} for _ in range(500)))
    assert await target.send([one]) == DELIVERED
    assert server.seen[0].body == one.rows.payload()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 401, 403, 407, 301, 308])
async def test_what_may_pass_is_tried_again(
    opened: Make, server: Any, batch: Callable[..., Batch], status: int
) -> None:
    target = await opened()
    server.answers = [web.Response(status=status)]
    with pytest.raises(Retry, match=f"/logs answered {status} "):
        await target.send([batch({"event": "a"})])
    assert await target.send([batch({"event": "a"})]) == DELIVERED
    assert target.status()["failures"] == {str(status): 1}


@pytest.mark.parametrize("status", [404, 405, 410])
async def test_a_wrong_place_is_not_the_events_fault(
    opened: Make, server: Any, batch: Callable[..., Batch], status: int
) -> None:
    target = await opened()
    server.answers = [web.Response(status=status)]
    with pytest.raises(Retry, match=f"answered {status} .*; correct the endpoint"):
        await target.send([batch({"event": "a"})])
    assert await target.send([batch({"event": "a"})]) == DELIVERED


@pytest.mark.parametrize("status", [400, 415, 422])
async def test_what_is_the_events_fault_is_rejected_with_the_servers_words(
    opened: Make, server: Any, batch: Callable[..., Batch], status: int
) -> None:
    target = await opened()
    server.answers = [web.Response(status=status, text="no such\n  thing" + "!" * 1000)]
    with pytest.raises(Reject, match=f"answered {status} .*: no such thing!") as caught:
        await target.send([batch({"event": "a"})])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured_in_seconds(
    opened: Make, server: Any, batch: Callable[..., Batch], status: int
) -> None:
    target = await opened()
    server.answers = [web.Response(status=status, headers={"Retry-After": "17"})]
    with pytest.raises(Retry) as caught:
        await target.send([batch({"event": "a"})])
    assert caught.value.after == 17.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("99999999", 3600.0),
        (email.utils.formatdate(1_000_060, usegmt=True), 60.0),
        (email.utils.formatdate(999_000, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("Mon, 99 Foo 2024 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after({"Retry-After": text}, now=1_000_000.0) == expected


async def test_too_large_is_sent_in_halves_and_one_large_event_is_rejected(
    opened: Make, server: Any, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    async def limited(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=413 if len(body) > 200 else 200)

    server.usual = limited
    target = await opened()
    batches = [batch({"event": "a"}, {"event": "b"}, {"event": "x" * 300}), batch({"event": "c"}, {"event": "d" * 99})]
    outcome = await target.send(batches)
    assert split_outcome(outcome) == ([], [(0, 2)])
    assert "413" in outcome.rejected[0].reason
    taken = [json.loads(line)["event"][:1] for seen in server.seen if len(seen.body) <= 200 for line in seen.lines]
    assert taken == ["a", "b", "c", "d"]


@pytest.mark.parametrize("codec", ["msgpack", "plain", "json"])
async def test_halves_together_are_the_whole_in_each_codec(
    opened: Make, server: Any, batch: Callable[..., Batch], codec: Any
) -> None:
    target = await opened(codec=codec)
    server.answers = [web.Response(status=413)]
    one = batch({"event": "a"}, {"event": "b"}, {"event": "c"})
    assert await target.send([one]) == DELIVERED
    assert b"".join(seen.body for seen in server.seen[1:]) == server.seen[0].body


async def test_after_a_half_that_was_taken_only_the_other_is_tried_again(
    opened: Make, server: Any, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    target = await opened()
    server.answers = [web.Response(status=413), web.Response(), web.Response(status=503, headers={"Retry-After": "3"})]
    outcome = await target.send([batch({"event": "a"}), batch({"event": "b"})])
    assert split_outcome(outcome) == ([(1, 0)], [])
    assert outcome.after == 3.0


@pytest.mark.parametrize("fault", ["reset", "half"])
async def test_a_broken_connection_is_tried_again(
    opened: Make, server: Any, batch: Callable[..., Batch], fault: str
) -> None:
    target = await opened()
    server.answers = [getattr(server, fault)]
    with pytest.raises(Retry, match="closed the connection before it answered"):
        await target.send([batch({"event": "a"})])
    assert await target.send([batch({"event": "a"})]) == DELIVERED
    assert target.status()["failures"] == {"reset": 1}


async def test_a_broken_body_of_a_success_is_no_reason_to_send_twice(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened()
    server.answers = [server.half_body]
    assert await target.send([batch({"event": "a"})]) == DELIVERED


async def test_a_server_that_says_nothing_is_left_after_the_timeout(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened(timeout="50ms")
    server.answers = [server.silence]
    with pytest.raises(Retry, match=r"gave no answer within 0\.05 s"):
        await target.send([batch({"event": "a"})])
    assert target.status()["failures"] == {"timeout": 1}


async def test_nobody_at_the_endpoint_is_tried_again(batch: Callable[..., Batch], unused_tcp_port: int) -> None:
    target = make(Config(endpoint=f"http://127.0.0.1:{unused_tcp_port}/x?token=geheim"), "web")
    await target.open()
    with pytest.raises(Retry, match=r"cannot be reached: (Connect call failed|Connection refused)") as e:
        await target.send([batch({"event": "a"})])
    await target.close()
    assert "geheim" not in f"{e.value}{target.status()}"


async def test_an_answer_that_is_not_http_is_tried_again(batch: Callable[..., Batch]) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        target = make(Config(endpoint=f"http://127.0.0.1:{port}/"), "web")
        await target.open()
        with pytest.raises(Retry):
            await target.send([batch({"event": "a"})])
        await target.close()


async def test_the_environment_names_the_proxy_and_what_goes_past_it(
    opened: Make, server: Any, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://me:pw@"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    target = await opened()
    await target.send([batch({"event": "a"})])
    assert "Proxy-Authorization" not in server.seen[0].headers
    elsewhere = await opened(endpoint="http://logs.example/in")
    await elsewhere.send([batch({"event": "a"})])
    assert server.seen[1].headers["Host"] == "logs.example"
    assert server.seen[1].headers["Proxy-Authorization"] == "Basic bWU6cHc="


async def test_tls_files_that_are_missing_are_tried_again_with_their_names() -> None:
    client = Client(timeout=1, tls=ClientTls(ca_file="/none/ca.pem"))
    with pytest.raises(Retry, match=r"/none/ca\.pem.* cannot be read"):
        await client.open()


async def test_a_certificate_counts_only_when_it_is_trusted(
    batch: Callable[..., Batch], certificate: tuple[str, str]
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listening:
        url = f"https://localhost:{listening.sockets[0].getsockname()[1]}/"
        for tls, trusted in (
            (None, False),
            ({"caFile": certificate[0]}, True),
            ({"insecureSkipVerify": True}, True),
        ):
            target = make(conversion.convert({"endpoint": url, "tls": tls}, Config), "web")
            await target.open()
            if trusted:
                assert await target.send([batch({"event": "a"})]) == DELIVERED
            else:
                with pytest.raises(Retry, match="certificate that is not trusted"):
                    await target.send([batch({"event": "a"})])
            await target.close()


def test_a_login_never_shows_its_secret() -> None:
    assert "s3cret" not in repr(Login("Bearer", Secret(value="s3cret")))


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("http://h:8080/logs?codec=json", "http://h:8080/logs"),
        ("HTTPS://h/a%20b", "https://h/a%20b"),
        ("http://ann:pw@h:1/x", "http://h:1/x"),
        ("http://[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_a_uri_without_its_query_is_the_endpoint(uri: str, endpoint: str) -> None:
    assert from_uri(uri) == {"endpoint": endpoint}


def test_a_uri_of_a_dot_leaves_the_endpoint_to_the_query() -> None:
    assert from_uri("http://./?endpoint=http%3A%2F%2Fh%2Fx%3Fa%3Db") == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": "h:8080"}, "is not an address"),
        ({"endpoint": "ftp://h/"}, "is not an address"),
        ({"endpoint": "http://u:p@h/"}, "must not hold credentials"),
        ({"endpoint": "http://h:99999/"}, "[Pp]ort"),
        ({"endpoint": "http://h/", "username": "u"}, "username and password go together"),
        ({"endpoint": "http://h/", "username": "u", "password": "p", "bearer": "b"}, "either bearer or"),
        ({"endpoint": "http://h/", "codec": "plain", "body": "Array"}, "body Array goes with"),
        ({"endpoint": "http://h/", "compression": "gzip"}, "did you mean Gzip"),
        ({"endpoint": "http://h/", "endpont": "x"}, "did you mean 'endpoint'"),
        ({}, "endpoint: is required"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_reason(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(given, Config)


def test_a_date_of_retry_after_is_counted_from_now() -> None:
    after = retry_after({"Retry-After": email.utils.formatdate(time.time() + 120, usegmt=True)})
    assert after is not None
    assert 100 < after <= 120


async def test_a_token_in_the_query_of_the_endpoint_never_shows(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened(endpoint=f"{server.url}/logs?token=s3cr%2Bt-value&v=1")
    server.answers = [web.Response(status=500, text="no such token s3cr+t-value, s3cr%2Bt-value in v=1")]
    with pytest.raises(Retry) as caught:
        await target.send([batch({"event": "a"})])
    assert "s3cr" not in str(caught.value)
    assert "v=1" in str(caught.value)
    assert "s3cr" not in str(target.status())


@pytest.mark.parametrize("endpoint", ["htp://h/?token=s3cret-value", "http://[::1/in?token=s3cret-value"])
def test_a_wrong_endpoint_is_named_without_its_query(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="is not an address") as caught:
        conversion.convert({"endpoint": endpoint}, Config)
    assert "s3cret" not in str(caught.value)
