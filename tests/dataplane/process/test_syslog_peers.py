"""Syslog of those who speak it: rsyslog's omfwd and util-linux's logger, where they are installed."""

import json
import shutil
import signal
import socket
import subprocess

import pytest
import yaml

RSYSLOG = shutil.which("rsyslogd")
LOGGER = shutil.which("logger")
COUNT = 2_000
needs_rsyslog = pytest.mark.skipif(RSYSLOG is None, reason="rsyslogd is not installed (apt-get install rsyslog)")
needs_logger = pytest.mark.skipif(LOGGER is None, reason="logger of util-linux is not installed")


@pytest.fixture
def router(start, tmp_path):
    """Start a router that listens to syslog by one protocol and writes a file."""

    def run(**settings):
        file = tmp_path / "router.yaml"
        listener = {"name": "in", "syslog": {"bind": "127.0.0.1:0", **settings}}
        targets = [{"file": {"path": str(tmp_path / "out"), "codec": "json"}}]
        file.write_text(yaml.safe_dump({"listeners": [listener], "targets": targets}))
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


@pytest.fixture
def rsyslog(tmp_path, wait_until):
    """Start an rsyslogd that forwards what it gets by UDP; returns the port to send to."""
    started = []

    def run(action, *, more=""):
        with socket.socket(type=socket.SOCK_DGRAM) as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
        config = tmp_path / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{tmp_path}" maxMessageSize="64k")\n{more}'
            f'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="4m")\n'
            f'action(type="omfwd" target="127.0.0.1" {action})\n'
        )
        words = [RSYSLOG, "-n", "-iNONE", "-f", str(config)]
        started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(lambda: taken(port))
        return port

    yield run
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def taken(port):
    """Whether somebody has the port."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def say(port, texts):
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        for text in texts:
            peer.sendto(text, ("127.0.0.1", port))


@needs_rsyslog
@pytest.mark.parametrize(
    ("protocol", "action"),
    [
        ("Tcp", 'protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"'),
        ("Tcp", 'protocol="tcp" TCP_Framing="traditional" template="RSYSLOG_SyslogProtocol23Format"'),
        ("Tcp", 'protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_ForwardFormat"'),
        ("Tcp", 'protocol="tcp" template="RSYSLOG_TraditionalForwardFormat"'),
        ("Udp", 'protocol="udp" template="RSYSLOG_SyslogProtocol23Format"'),
    ],
    ids=["counted 5424", "lines 5424", "counted ISO", "lines 3164", "udp 5424"],
)
def test_what_rsyslog_forwards_arrives_whole(protocol, action, router, events, rsyslog):
    to = router(protocol=protocol).binding("in")[1]
    port = rsyslog(f'port="{to}" {action}')
    say(port, (b"<165>Oct 11 22:14:15 web shop[7]: number %d" % number for number in range(COUNT)))
    found = events(COUNT)
    assert sorted(int(one["event"].split()[-1]) for one in found) == list(range(COUNT))
    first = found[0]
    assert first["event"].strip() == "number 0"  # RFC 3164 has the space before the text in the text
    assert (first["name"], first["level"]) == ("shop", "info")
    wanted = {"facility": "local4", "severity": "notice", "host": "web", "app": "shop", "procId": "7"}
    assert wanted.items() <= first["fields"].items()


@needs_logger
@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("Tcp", ["--tcp", "--octet-count", "--rfc5424"]),
        ("Tcp", ["--tcp", "--rfc5424"]),
        ("Tcp", ["--tcp", "--rfc3164"]),
        ("Udp", ["--udp", "--rfc5424"]),
        ("Udp", ["--udp", "--rfc3164"]),
    ],
    ids=" ".join,
)
def test_what_logger_says_arrives_whole(protocol, words, router, events):
    to = router(protocol=protocol).binding("in")[1]
    more = ["--msgid", "ID47", "--sd-id", "zoo@123", "--sd-param", 'tiger="hungry"'] if "--rfc5424" in words else []
    say = [LOGGER, "--server", "127.0.0.1", "--port", str(to), *words, *more, "--tag", "shop", "--id=7"]
    subprocess.run([*say, "--priority", "local4.err", "hello from logger"], check=True, timeout=20)
    (found,) = events(1)
    assert (found["event"], found["name"], found["level"]) == ("hello from logger", "shop", "error")
    fields = found["fields"]
    assert (fields["facility"], fields["severity"], fields["app"], fields["procId"]) == ("local4", "err", "shop", "7")
    if more:
        assert (fields["msgId"], fields["structuredData"]["zoo@123"]) == ("ID47", {"tiger": "hungry"})
        assert "timeQuality" in fields["structuredData"]
    assert fields["host"]


@needs_rsyslog
def test_a_message_with_newlines_comes_through_rsyslog_counted(router, events, rsyslog):
    to = router().binding("in")[1]
    template = 'template(name="raw" type="string" string="<%pri%>1 - - shop - - - %rawmsg%")\n'
    more = f'global(parser.escapeControlCharactersOnReceive="off")\n{template}'
    port = rsyslog(f'port="{to}" protocol="tcp" TCP_Framing="octet-counted" template="raw"', more=more)
    say(port, [b"<13>one\n  two", b"<13>three"])
    assert [one["event"] for one in events(2)] == ["<13>one\n  two", "<13>three"]
