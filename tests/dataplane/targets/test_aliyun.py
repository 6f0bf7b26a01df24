"""Target ``aliyun`` against a stand-in of Log Service that checks signatures, and reads groups by protobuf's library.

https://www.alibabacloud.com/help/en/sls/developer-reference/api-sls-2020-12-30-putlogs, …/data-encoding,
…/request-signatures, …/error-codes.
"""

import base64
import hashlib
import hmac
import re
import time
from collections import Counter
from email.utils import parsedate_to_datetime

import cramjam
import pytest
from aiohttp import web
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from rutta import conversion, uris
from rutta.aliyun.signature import Keys, authorization
from rutta.errors import ConfigError, Reject, Retry
from rutta.targets import aliyun

ID, KEY, TOKEN = "LTAI5tSomebody", "s3cret-access-key", "CAIS-token-of-sts"
EVENT_ID = "0123456789abcdef0123456789abcdef"
NOW = time.time_ns() // 1000 * 1000


def log_group():
    """The message class of the documented schema."""
    kinds = {"uint32": 13, "string": 9, "fixed32": 7, "message": 11}
    labels = {"optional": 1, "required": 2, "repeated": 3}
    schema = {
        "Content": [("required", "string", "Key", 1), ("required", "string", "Value", 2)],
        "Log": [("required", "uint32", "Time", 1), ("repeated", "Content", "Contents", 2),
                ("optional", "fixed32", "Time_ns", 4)],
        "LogTag": [("required", "string", "Key", 1), ("required", "string", "Value", 2)],
        "LogGroup": [("repeated", "Log", "Logs", 1), ("optional", "string", "Topic", 3),
                     ("optional", "string", "Source", 4), ("repeated", "LogTag", "LogTags", 6)],
    }  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(name="sls.proto", package="sls", syntax="proto2")
    for name, fields in schema.items():
        message = file.message_type.add(name=name)
        for label, kind, field, number in fields:
            added = message.field.add(name=field, number=number, label=labels[label], type=kinds.get(kind, 11))
            if kind in schema:
                added.type_name = f".sls.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sls.LogGroup"))


LOG_GROUP = log_group()


def refusal(status, code, message, **headers):
    return web.json_response({"errorCode": code, "errorMessage": message}, status=status, headers=headers)


class Api:
    """``PutLogs`` of the project ``shop-logs`` and the Logstore ``web``."""

    def __init__(self):
        self.keys = {ID: (KEY, "")}
        self.groups = []
        self.calls = Counter()
        self.v4 = False

    async def __call__(self, request, body):
        head = request.headers
        if wrong := self.head(head, body) or (self.signature_v4 if self.v4 else self.signature_v1)(request, body):
            return wrong
        if not head["Host"].startswith("shop-logs."):
            return refusal(404, "ProjectNotExist", "The Project does not exist : other")
        if not (match := re.fullmatch(r"/logstores/(\w+)/shards/(lb|route)", request.path)) or match[1] != "web":
            return refusal(404, "LogStoreNotExist", "logstore does not exist.")
        key = request.query.get("key")
        if (match[2] == "route") != (key is not None and bool(re.fullmatch("[0-9a-f]{32}", key))):
            return refusal(400, "ParameterInvalid", "The key is not valid.")
        return self.put(head, body, key)

    def head(self, head, body):
        if head.get("x-log-apiversion") != "0.6.0":
            return refusal(400, "InvalidAPIVersion", "x-log-apiversion is unsupported.")
        if head.get("Content-Type") != "application/x-protobuf":
            return refusal(415, "InvalidContentType", "Content-Type is unsupported.")
        if not head.get("x-log-bodyrawsize", "").isdecimal():
            return refusal(400, "MissingBodyRawSize", "x-log-bodyrawsize does not exist in header.")
        return None

    def known(self, id_, head):
        secret, token = self.keys.get(id_, ("", ""))
        if not secret:
            return None, refusal(401, "Unauthorized", f"The AccessKeyId is not found: {id_}")
        if head.get("x-acs-security-token", "") != token:
            return None, refusal(401, "SecurityTokenExpired", "The security token has expired.")
        return secret, None

    def signature_v1(self, request, body):
        head = request.headers
        match = re.fullmatch(r"LOG ([^:]+):(.+)", head.get("Authorization", ""))
        if not match or head.get("x-log-signaturemethod") != "hmac-sha1":
            return refusal(401, "Unauthorized", "The Authorization header is invalid.")
        secret, wrong = self.known(match[1], head)
        if wrong:
            return wrong
        if hashlib.md5(body).hexdigest().upper() != head["Content-MD5"]:
            return refusal(400, "InvalidContentMD5", "Content-MD5 does not match.")
        if abs(parsedate_to_datetime(head["Date"]).timestamp() - time.time()) > 900:
            return refusal(400, "RequestTimeExpired", "Request time has been expired.")
        own = sorted((k.lower(), v) for k, v in head.items() if k.lower().startswith(("x-log-", "x-acs-")))
        query = "&".join(f"{k}={v}" for k, v in sorted(request.query.items()))
        text = f"POST\n{head['Content-MD5']}\n{head['Content-Type']}\n{head['Date']}\n"
        text += "".join(f"{k}:{v}\n" for k, v in own) + request.path + (f"?{query}" if query else "")
        signature = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
        if signature != match[2]:
            return refusal(401, "SignatureNotMatch", f"The signature does not match: {match[2]}")
        return None

    def signature_v4(self, request, body):
        head = request.headers
        pattern = (
            r"SLS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/cn-hangzhou/sls/aliyun_v4_request,Signature=([0-9a-f]{64})"
        )
        match = re.fullmatch(pattern, head.get("Authorization", ""))
        if not match or not head["x-log-date"].startswith(match[2]):
            return refusal(401, "Unauthorized", "The Authorization header is invalid.")
        secret, wrong = self.known(match[1], head)
        if wrong:
            return wrong
        digest = hashlib.sha256(body).hexdigest()
        lower = {k.lower(): v for k, v in head.items()}
        names = sorted(k for k in lower if k in ("content-type", "host") or k.startswith(("x-log-", "x-acs-")))
        canonical = f"POST\n{request.path}\n" + "&".join(f"{k}={v}" for k, v in sorted(request.query.items())) + "\n"
        canonical += "".join(f"{k}:{lower[k]}\n" for k in names) + "\n" + ";".join(names) + "\n" + digest
        scope = f"{match[2]}/cn-hangzhou/sls/aliyun_v4_request"
        text = f"SLS4-HMAC-SHA256\n{head['x-log-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = b"aliyun_v4" + secret.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        if hmac.new(key, text.encode(), hashlib.sha256).hexdigest() != match[3]:
            return refusal(401, "SignatureNotMatch", "The signature does not match.")
        return None

    def put(self, head, body, key):
        size = int(head["x-log-bodyrawsize"])
        if head.get("x-log-compresstype") == "lz4":
            try:
                body = bytes(cramjam.lz4.decompress_block(body, output_len=size))
            except cramjam.DecompressionError:
                return refusal(400, "PostBodyUncompressError", "Failed to decompress the log data.")
        if len(body) != size:
            return refusal(400, "InvalidBodyRawSize", "x-log-bodyrawsize is invalid.")
        if size > 10_000_000:
            return refusal(400, "PostBodyTooLarge", "body size must little than 10M")
        group = LOG_GROUP()
        try:
            group.ParseFromString(body)
        except DecodeError:
            return refusal(400, "PostBodyInvalid", "Protobuffer content cannot be parsed.")
        for one in group.Logs:
            if wrong := self.log(one):
                return wrong
        self.groups.append((group, key))
        return web.Response(headers={"x-log-requestid": "5F4C7E7B"})

    def log(self, one):
        found = {content.Key: content.Value for content in one.Contents}
        self.calls[found["Msg"]] += 1
        if len(found) != len(one.Contents) or not all(0 < len(key.encode()) <= 128 for key in found):
            return refusal(400, "InvalidKey", "Invalid keys are in logs.")
        if found.keys() & {"__time__", "__source__", "__topic__"} or "bad" in found:
            return refusal(400, "InvalidKey", "Invalid keys are in logs.")
        if any(len(value.encode()) > 2**20 for value in found.values()):
            return refusal(400, "PostBodyTooLarge", "a value is larger than 1 MB")
        if not 0 <= one.Time_ns < 10**9:
            return refusal(400, "InvalidTimestamp", "Invalid timestamps are in logs.")
        return None

    @property
    def logs(self):
        return [{one.Key: one.Value for one in log.Contents} for group, _ in self.groups for log in group.Logs]

    @property
    def messages(self):
        return [one["Msg"] for one in self.logs]


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


def build(url, **given):
    given = {"endpoint": url, "project": "shop-logs", "logstore": "web", "accessKeyId": ID, "accessKey": KEY,
             "timeout": "2s", **given}  # fmt: skip
    return aliyun.make(conversion.convert(given, aliyun.Config), "t")


@pytest.fixture
async def opened(server, api):
    """``await opened(setting=…)`` gives a target that is closed at the end."""
    made = []

    async def make(**given):
        made.append(build(server.url, **given))
        await made[-1].open()
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_an_event_becomes_a_log_with_all_that_it_has(opened, api, batch):
    target = await opened(source="router-1", tags={"env": "prod"})
    one = {
        "event": "Slow {route}", "id": EVENT_ID, "level": "warn", "name": "shop.api",
        "timestamp": 1_700_000_000_123_456_789,
        "fields": {"route": "/buy", "n": 7, "Level": "mine", "list": [1, {"a": None}], "__topic__": "t"},
        "context": {"host": "n1", "service": "shop"},
        "gauges": {"mem": {"type": "gauge", "value": 2048, "unit": "bytes"},
                   "count": {"type": "gauge", "value": 3, "unit": "scalar"}},
        "monetaryValue": {"amount": 12.5, "currency": "SEK"},
        "error": {"message": "late", "errorType": "Timeout", "stackTrace": {"frames": [{"site": "a"}]},
                  "inner": {"message": "why"}},
    }  # fmt: skip
    outcome = await target.send([batch(one, context={"peer": "10.0.0.1"})])
    assert (outcome.retry, outcome.rejected) == ((), ())
    ((group, key),) = api.groups
    assert (group.Topic, group.Source, key) == ("shop", "router-1", None)
    assert [(tag.Key, tag.Value) for tag in group.LogTags] == [("env", "prod")]
    assert (group.Logs[0].Time, group.Logs[0].Time_ns) == (1_700_000_000, 123_456_789)
    assert api.logs[0] == {
        "Host": "n1", "TimeOffSet": "2023-11-14T22:13:20.123456789Z", "Level": "warn", "LoggerName": "shop.api",
        "Msg": "Slow /buy", "MsgTemplate": "Slow {route}", "Id": EVENT_ID, "mem (B)": "2048", "count": "3",
        "route": "/buy", "n": "7", "fields.Level": "mine", "list": '[1,{"a":null}]', "fields.__topic__": "t",
        "service": "shop", "peer": "10.0.0.1", "monetaryValue": "12.5", "monetaryValue_unit": "SEK",
        "monetaryValue_f": "SEK 12.50", "error.message": "late", "error.type": "Timeout", "error.stack": "at a",
        "error.inner.message": "why",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        ({"type": "span", "label": "GET /", "started": NOW, "finished": NOW + 5,
          "spanContext": {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "2"}},
         {"Kind": "span", "Label": "GET /", "Level": "info", "traceId": "0" * 31 + "1", "duration": "5"}),
        ({"type": "gauge", "name": "g", "labels": {"l": "v"},
          "gauge": {"type": "gauge", "value": 3, "unit": "seconds"}},
         {"Kind": "gauge", "value": "3", "value_unit": "seconds", "l": "v", "Msg": "3.00 s"}),
        ({"type": "histogram", "name": "h", "buckets": {"1": 2}, "sum": 4},
         {"Kind": "histogram", "buckets": '{"1":2}'}),
        ({"type": "identifyUser", "prevUserId": "a", "newUserId": "b"},
         {"user.prevUserId": "a", "user.newUserId": "b"}),
    ],
)  # fmt: skip
async def test_other_kinds_have_what_they_are_about(opened, api, batch, one, wanted):
    await (await opened()).send([batch(one)])
    assert api.logs[0].items() >= wanted.items()


async def test_a_log_that_names_no_host_has_the_source(opened, api, batch):
    await (await opened(source="here")).send([batch({"event": "a"})])
    assert api.logs[0]["Host"] == "here"


async def test_keys_and_values_keep_to_the_limits(opened, api, batch):
    fields = {"k" * 200: 1, "": 2, "large": "ö" * 600_000}
    await (await opened()).send([batch({"event": "a", "fields": fields})])
    (found,) = api.logs
    assert found["k" * 128] == "1"
    assert found["_"] == "2"
    assert found["large"] == "ö" * 2**19
    assert found["Truncated"] == "large"


@pytest.mark.parametrize("timestamp", [-5_000_000_000_000_000_000, 9_000_000_000_000_000_000])
async def test_a_time_that_log_service_cannot_hold_is_in_the_text(opened, api, batch, timestamp):
    await (await opened()).send([batch({"event": "a", "timestamp": timestamp})])
    assert api.groups[0][0].Logs[0].Time in (0, 2**32 - 1)
    assert api.logs[0]["TimeOffSet"][:4] in ("1811", "2255")


async def test_topics_and_shards_have_requests_of_their_own(opened, api, server, batch):
    target = await opened(hashKey="fields.user")
    events = [("a", "x", "1"), ("b", "y", "1"), ("c", "x", "2"), ("d", "x", "1"), ("e", "x", None)]
    made = [
        {"event": text, "context": {"service": service}, "fields": {"user": user} if user else {}}
        for text, service, user in events
    ]
    await target.send([batch(*made[:2]), batch(*made[2:])])
    found = [(group.Topic, key, [log.Contents[4].Value for log in group.Logs]) for group, key in api.groups]
    md5 = [hashlib.md5(text.encode()).hexdigest() for text in ("1", "2")]
    assert found == [("x", md5[0], ["a", "d"]), ("y", md5[0], ["b"]), ("x", md5[1], ["c"]), ("x", None, ["e"])]


async def test_a_topic_may_be_fixed(opened, api, batch):
    target = await opened(topic="all")
    await target.send([batch({"event": "a", "context": {"service": "x"}}, {"event": "b"})])
    assert [group.Topic for group, _ in api.groups] == ["all"]


# --- who we are -------------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_documents_example():
    """https://www.alibabacloud.com/help/doc-detail/29012.htm, second example."""
    headers = {
        "Date": "Mon, 09 Nov 2015 06:03:03 GMT", "Host": "test-project.regionid.example.com",
        "x-log-apiversion": "0.6.0", "x-log-signaturemethod": "hmac-sha1", "Content-Type": "application/x-protobuf",
        "Content-MD5": "1DD45FA4A70A9300CC9FE7305AF2C494", "x-log-bodyrawsize": "50", "x-log-compresstype": "lz4",
    }  # fmt: skip
    keys = Keys("bq2sjzesjmo86kq35behupbq", "4fdO2fTDDnZPU/L7CHNdemB2Nsk=")
    assert authorization(headers, "/logstores/test-logstore", keys) == (
        "LOG bq2sjzesjmo86kq35behupbq:XWLGYHGg2F2hcfxWxMLiNkGki6g="
    )


@pytest.mark.parametrize("given", [{}, {"signature": "V4", "region": "cn-hangzhou"}])
@pytest.mark.parametrize("more", [{}, {"hashKey": "name"}, {"compression": "None"}, {"securityToken": TOKEN}])
async def test_requests_are_signed(opened, api, batch, given, more):
    api.v4 = bool(given)
    api.keys = {ID: (KEY, more.get("securityToken", ""))}
    await (await opened(**given, **more)).send([batch({"event": "a", "name": "n"})])
    assert api.messages == ["a"]


async def test_a_key_that_was_replaced_is_taken(opened, api, batch, tmp_path):
    files = {}
    for name, value in (("accessKeyId", "old-id"), ("accessKey", "old-secret-key"), ("securityToken", "old-token")):
        path = tmp_path / name
        path.write_text(value)
        files[name] = {"file": str(path)}
    target = await opened(**files)
    with pytest.raises(Retry, match="check the access key") as caught:
        await target.send([batch({"event": "a"})])
    assert "old-id" not in str(caught.value), "the service said it back"
    api.keys = {"new-id": ("new-secret-key", "new-token")}
    for path, value in zip(files.values(), ("new-id", "new-secret-key", "new-token"), strict=True):
        (tmp_path / path["file"]).write_text(value + "\n")
    await target.send([batch({"event": "a"})])
    assert api.messages == ["a"]


async def test_a_key_that_is_missing_is_waited_for(opened, batch):
    target = await opened(accessKey={"env": "NO_SUCH_VARIABLE"})
    with pytest.raises(Retry, match="NO_SUCH_VARIABLE"):
        await target.send([batch({"event": "a"})])


@pytest.mark.parametrize("wrong", [{"accessKey": "wrong-secret"}, {"accessKeyId": "nobody"}, {"securityToken": "old"}])
async def test_a_wrong_key_is_a_retry_that_does_not_show_it(opened, batch, wrong):
    target = await opened(**wrong)
    with pytest.raises(Retry, match="check the access key") as caught:
        await target.send([batch({"event": "a"}, {"event": "b"})])
    assert next(iter(wrong.values())) not in str(caught.value)


# --- answers ----------------------------------------------------------------------------------------------------


async def test_one_bad_log_is_found_among_its_neighbours(opened, api, batch, split_outcome):
    many = [{"event": f"e{number}", "fields": {"bad": 1} if number == 5 else {}} for number in range(9)]
    outcome = await (await opened()).send([batch(*many[:4]), batch(*many[4:])])
    assert split_outcome(outcome) == ([], [(1, 1)])
    assert "InvalidKey" in outcome.rejected[0].reason
    assert sorted(api.messages) == sorted(f"e{number}" for number in range(9) if number != 5)


async def test_a_bad_log_alone_is_rejected(opened, batch):
    with pytest.raises(Reject, match="InvalidKey"):
        await (await opened()).send([batch({"event": "a", "fields": {"bad": 1}})])


async def test_requests_keep_to_the_limits(opened, api, server, batch):
    target = await opened(batchSize=15)
    await target.send([batch(*({"event": f"{number}", "fields": {"x": "y" * 900_000}} for number in range(20)))])
    assert api.messages == [f"{number}" for number in range(20)]
    assert [len(group.Logs) for group, _ in api.groups] == [7, 8, 5]


async def test_a_log_that_is_too_large_by_itself_is_rejected(opened, api, batch, split_outcome):
    large = {"event": "large", "fields": {f"k{number}": "y" * 2**20 for number in range(10)}}
    outcome = await (await opened()).send([batch(large, {"event": "a"})])
    assert split_outcome(outcome) == ([], [(0, 0)])
    assert api.messages == ["a"]


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "WriteQuotaExceed", "Quota"), (403, "ShardWriteQuotaExceed", "Quota"), (403, "ExceedQuota", "Quota"),
        (401, "Unauthorized", "check the access key"), (401, "SignatureNotMatch", "check the access key"),
        (400, "RequestTimeExpired", "clock"), (404, "ProjectNotExist", "correct endpoint"),
        (404, "LogStoreNotExist", "correct endpoint"), (400, "LogStoreWithoutShard", "correct endpoint"),
        (403, "ProjectForbidden", "correct endpoint"), (500, "InternalServerError", "500"), (503, "ServerBusy", "503"),
        (502, "BadGateway", "502"),
    ],
)  # fmt: skip
async def test_what_may_pass_is_a_retry_with_what_can_be_done(opened, server, batch, status, code, hint):
    target = await opened()
    server.answers = [refusal(status, code, "told so", **{"Retry-After": "7"})]
    with pytest.raises(Retry, match=hint) as caught:
        await target.send([batch({"event": "a"}, {"event": "b"})])
    assert code in str(caught.value)
    assert target.status()["failures"] == {code: 1}
    assert caught.value.after == (7 if "Quota" in code or status >= 500 else None)


@pytest.mark.parametrize("given", [{"project": "other"}, {"logstore": "other"}])
async def test_a_place_that_is_not_there_is_waited_for(opened, batch, given):
    with pytest.raises(Retry, match="correct endpoint"):
        await (await opened(**given)).send([batch({"event": "a"})])


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_a_retry(opened, server, batch, fault):
    target = await opened(clientReadWriteTimeout=300)
    server.usual = getattr(server, fault)
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"})])


async def test_a_failure_in_the_middle_leaves_what_is_written_alone(opened, api, server, batch, split_outcome):
    target = await opened(batchSize=2)
    server.answers = [api, refusal(503, "ServerBusy", "busy")]
    outcome = await target.send([batch(*({"event": text} for text in "abcde"))])
    assert split_outcome(outcome) == ([(0, 2), (0, 3), (0, 4)], [])
    assert api.messages == ["a", "b"]


def test_the_uri_of_the_original_is_understood():
    entry = uris.entry_of_uri(
        "aliyun://./?AccessKeyId=id&AccessKey=a%2Bb/c=&Endpoint=cn-hangzhou.log.aliyuncs.com&Project=shop-logs&Logstore=web"
        "&ClientConnectTimeout=5000&ClientReadWriteTimeout=10000"
    )
    config = conversion.convert(entry["aliyun"], aliyun.Config)
    assert config.access_key.reveal() == "a+b/c="
    target = aliyun.make(config, "t")
    assert target.status()["endpoint"] == "https://shop-logs.cn-hangzhou.log.aliyuncs.com shop-logs/web"
    assert (target._client._connect_timeout, target._client._timeout) == (5, 10)


@pytest.mark.parametrize("given", [{"signature": "V4"}, {"project": "A"}, {"logstore": "a/b"}, {"endpoint": "http://"},
                                   {"compression": "Gzip"}])  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        build("http://127.0.0.1:1", **given)
