"""Who we are to Google Cloud: against a token endpoint and a metadata server that check what the documents say.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest (JWT, form, answer and errors) and
https://cloud.google.com/compute/docs/access/authenticate-workloads (metadata).
"""

import base64
import json
import time
import urllib.parse

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from rutta.errors import Retry
from rutta.googlecloud.credentials import Credentials
from rutta.net import protobuf
from rutta.settings import Secret

EMAIL = "rutta@my-project.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


class Tokens:
    """The token endpoint; ``taken`` are the forms it answered."""

    def __init__(self):
        self.taken = []
        self.expires = 3600

    async def __call__(self, request, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if request.headers["Content-Type"] != "application/x-www-form-urlencoded" or not self.is_good(form, request):
            return web.json_response({"error": "invalid_grant", "error_description": "Invalid JWT"}, status=400)
        self.taken.append(form)
        return web.json_response({"access_token": f"ya29.{len(self.taken)}", "expires_in": self.expires})

    def is_good(self, form, request):
        if form["grant_type"] == "refresh_token":
            return (form["client_id"], form["client_secret"], form["refresh_token"]) == ("c", "s", "r")
        head, claims, signature = form["assertion"].split(".")
        KEY.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        found = json.loads(decoded(claims))
        return (
            json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
            and found["iss"] == EMAIL
            and found["scope"] == "https://www.googleapis.com/auth/cloud-platform"
            and found["aud"] == f"http://{request.host}/token"
            and abs(found["iat"] - time.time()) < 60
            and found["exp"] - found["iat"] <= 3600
        )


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def account(url, **more):
    return json.dumps(
        {"type": "service_account", "project_id": "my-project", "client_email": EMAIL, "private_key": PEM,
         "private_key_id": "k1", "token_uri": f"{url}/token", "universe_domain": "googleapis.com", **more}
    )  # fmt: skip


@pytest.fixture
def tokens(server):
    server.usual = Tokens()
    return server.usual


@pytest.fixture
async def opened(monkeypatch):
    """``await opened(secret)`` gives credentials that are closed at the end."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    made = []

    async def make(secret=None):
        made.append(Credentials(secret, timeout=1))
        await made[-1].open()
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_a_service_account_signs_for_a_token_that_is_kept(server, tokens, opened):
    mine = await opened(Secret(value=account(server.url)))
    assert [await mine.token() for _ in range(3)] == ["ya29.1"] * 3
    assert await mine.project(None) == "my-project"
    assert await mine.project("other") == "other"
    mine.forget()
    assert await mine.token() == "ya29.2"


async def test_a_token_is_renewed_before_it_ends_and_when_the_key_changes(
    server, tokens, opened, tmp_path, monkeypatch
):
    path = tmp_path / "key.json"
    path.write_text(account(server.url))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    mine = await opened()
    assert await mine.token() == "ya29.1"
    path.write_text(account(server.url, project_id="p2"))
    assert await mine.token() == "ya29.2"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600 - 299)
    assert await mine.token() == "ya29.3"


async def test_a_user_refreshes_a_token(server, tokens, opened):
    text = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    mine = await opened(Secret(value=json.dumps({**text, "token_uri": f"{server.url}/token"})))
    assert await mine.token() == "ya29.1"


async def test_the_metadata_server_gives_token_and_project(server, opened, monkeypatch):
    async def answer(request, body):
        assert request.headers["Metadata-Flavor"] == "Google"
        if request.path == "/computeMetadata/v1/project/project-id":
            return web.Response(text="gke-project")
        assert request.path == "/computeMetadata/v1/instance/service-accounts/default/token"
        return web.json_response({"access_token": "from-metadata", "expires_in": 3599, "token_type": "Bearer"})

    server.usual = answer
    monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
    mine = await opened()
    assert (await mine.token(), await mine.project(None)) == ("from-metadata", "gke-project")
    assert mine.hide("I know from-metadata") == "I know ***"


async def test_without_anything_it_says_what_can_be_done(opened, monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    mine = await opened()
    with pytest.raises(Retry, match="GOOGLE_APPLICATION_CREDENTIALS"):
        await mine.token()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"client_email": "eve@x"}, "invalid_grant"), ({"private_key": "none"}, "cannot be read"),
     ({"type": "external"}, "external")],
)  # fmt: skip
async def test_a_key_that_is_refused_is_a_retry_that_does_not_show_it(server, tokens, opened, change, said):
    mine = await opened(Secret(value=account(server.url, **change)))
    with pytest.raises(Retry, match=said) as caught:
        await mine.token()
    assert "PRIVATE" not in str(caught.value)


async def test_what_is_no_key_and_what_is_no_answer_are_retries(server, opened):
    mine = await opened(Secret(value="s3cret but no JSON"))
    with pytest.raises(Retry) as caught:
        await mine.token()
    assert "s3cret" not in str(caught.value)
    server.answers = [web.Response(text="<html>")]
    mine = await opened(Secret(value=account(server.url)))
    with pytest.raises(Retry, match="holds none"):
        await mine.token()


def test_the_wire_format_is_read_as_it_is_written():
    long = b"x" * 20_000
    message = protobuf.field(protobuf.tag_of(1), long) + b"\x10" + protobuf.varint(300)
    assert protobuf.numbers(message) == {1: long, 2: 300}
    assert protobuf.numbers(b"\x0a") == {}
    assert protobuf.tag_of(16) == b"\x82\x01"
