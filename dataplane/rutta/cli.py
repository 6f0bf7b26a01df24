"""The command line: the original's flags as they were, mended, and ``--config``; ``arguments`` makes a document of it.

Exit codes are the original's: 0 fine, 10 no subcommand, 11 the flags before it cannot be read, 22 the subcommand's
cannot (or the configuration is wrong), 100 the start failed. ``-h`` is ``--health``, as it always was.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from rutta.arguments import DEFAULT_BINDINGS, MODES
from rutta.events.event import LEVEL_WORDS

OK: Final = 0
NO_SUBCOMMAND: Final = 10
BAD_GLOBALS: Final = 11
BAD_SUBCOMMAND: Final = 22
START_FAILED: Final = 100

PREFIX: Final = "LOGARY_RUTTA_"

EXAMPLES: Final = """\
examples:
  rutta router --listener tcp json --target console://.
      JSON lines on port 10001 to the terminal; try:  echo '{"message":"hi"}' | nc localhost 10001
  rutta router --health 0.0.0.0:9114 --listener http 0.0.0.0:8080 json --target file:///var/log/events.log
      events by POST into a file, with /healthz, /readyz, /metrics and /status on port 9114
  rutta shipper --tail '/var/log/*.log' --link-to router.example:5555
      tail files into a router that runs  rutta router --listener link --target ...; rutta shipper --help has more
  rutta router --config /etc/rutta/router.yaml
      all of it from a file; SIGHUP or a change of the file reloads it; rutta check --config FILE checks it
"""

SHIPPER_EXAMPLES: Final = """\
examples:
  rutta router --listener link --target console://.
      on the other machine: a router that shows what the following send
  rutta shipper --tail '/var/log/*.log' --link-to router.example:5555
      follow files from now on, through rotation; quote globs, so that new files are found too
  zcat old.log.gz | rutta shipper --stdin --link-to router.example:5555
      all of a pipe or a file, then stop: when it ends, everything has been delivered
  rutta shipper --syslog 0.0.0.0:5514 --link-to router.example:5555
      syslog over UDP and TCP; try:  logger --server 127.0.0.1 --port 5514 --udp hello
  rutta shipper --host-metrics 10s --tail /var/log/syslog --link-to router.example:5555
      CPU, memory, disks, network and file systems of this machine every ten seconds, and a file
  rutta shipper --tail app.log --push-to tcp://old.example:5556
      to a router of the original; --pub-to to its proxy
"""


class _Parser(argparse.ArgumentParser):
    """argparse with the original's exit codes; it offers no other hook for them than to inherit."""

    exit_code = BAD_SUBCOMMAND

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with the code of this level (top-level errors went to stdout, and still do)."""
        out = sys.stdout if self.exit_code == BAD_GLOBALS else sys.stderr
        self.print_usage(out)
        print(f"{self.prog}: {message}", file=out)
        raise SystemExit(self.exit_code)


def parser() -> argparse.ArgumentParser:
    """Build the parser; completion scripts are made of it too."""
    top = _Parser(
        prog="rutta",
        description="Rutta moves log events and metrics: shippers → proxies → routers → targets.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    top.exit_code = BAD_GLOBALS
    _add_globals(top)
    subcommands = top.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", parser_class=_Parser)
    _add_router(_sub(subcommands, "router", "listeners to targets"))
    _add_proxy(_sub(subcommands, "proxy", "links to links, or the original's XSUB to XPUB"))
    _add_shipper(_sub(subcommands, "shipper", "sources to links"))
    check = _sub(subcommands, "check", "check a config file, open nothing")
    check.add_argument("--config", metavar="FILE", nargs="+", required=True, help="the files to check")
    check.add_argument(
        "--output", choices=("text", "json"), default="text", help="json: a list of what is wrong, on stdout"
    )
    _sub(subcommands, "schema", "print the JSON schema of the config file")
    _sub(subcommands, "version", "print the version")
    completion = _sub(subcommands, "completion", "print a completion script for your shell")
    completion.add_argument(
        "shell", choices=("bash", "zsh", "tcsh"), help='use it like: eval "$(rutta completion bash)"'
    )
    return top


def parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    """Parse a command line; SystemExit carries the exit code. Words a subcommand does not know are its error, 22."""
    found, unknown = parser.parse_known_args(list(words))
    if unknown:
        parser.exit_code = BAD_SUBCOMMAND if found.subcommand else BAD_GLOBALS  # type: ignore[attr-defined]
        parser.error(
            f"unknown arguments: {' '.join(unknown)}; rutta {found.subcommand or ''} --help tells which there are"
        )
    return vars(found)


def _sub(subcommands: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = subcommands.add_parser(
        name,
        help=text,
        description=f"rutta {name}: {text}.",
        epilog={"router": EXAMPLES, "proxy": EXAMPLES, "shipper": SHIPPER_EXAMPLES}.get(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    _add_globals(made)
    return made


def _add_globals(to: argparse.ArgumentParser) -> None:
    """Global flags may stand before or after the subcommand, so both levels take them."""
    group = to.add_argument_group("global flags (before or after the subcommand)")
    absent: Any = argparse.SUPPRESS
    group.add_argument("--help", action="help", help="print this and exit")
    group.add_argument("-V", "--version", action="store_true", default=absent, help="print the version and exit")
    group.add_argument("-v", "--verbose", action="store_true", default=absent, help="log everything")
    group.add_argument("-L", "--log-level", metavar="LEVEL", default=absent, help="verbose debug info warn error fatal")
    group.add_argument("--log-format", choices=("logfmt", "json"), default=absent, help="form of the log on stderr")
    group.add_argument(
        "-h", "--health", metavar="NIC:PORT", default=absent, help="serve /healthz /readyz /metrics /status"
    )
    group.add_argument(
        "-t", "--tls-trust-cert", metavar="HASH", action="append", default=absent, help=argparse.SUPPRESS
    )
    group.add_argument("-a", "--app-id", metavar="ID", default=absent, help=argparse.SUPPRESS)


def _add_engine(to: argparse.ArgumentParser) -> None:
    _files(to.add_argument("--config", metavar="FILE", help="take everything from a YAML or JSON file instead"))
    to.add_argument("--shutdown-timeout", metavar="TIME", help="how long to deliver what is held when stopped (30s)")


def _files(option: argparse.Action) -> None:
    """Let completion scripts offer files; shtab, which writes them, looks for this attribute."""
    option.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]


def _add_listener(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--listener",
        nargs="+",
        action="append",
        metavar="MODE [BINDINGS] CODEC",
        help=f"MODE: {' '.join(MODES)}; BINDINGS: NIC:PORT,…; "
        "CODEC: json plain syslog log4jxml binary auto (link and syslog: none)",
    )
    to.add_argument(
        "--disable-cors", action="store_true", help="http listeners answer no preflight and send no CORS header"
    )


def _add_router(to: argparse.ArgumentParser) -> None:
    _add_engine(to)
    _add_listener(to)
    to.add_argument(
        "--target", action="append", metavar="URI", help="e.g. console://. or influxdb://./?endpoint=…&db=…"
    )


def _add_proxy(to: argparse.ArgumentParser) -> None:
    _add_engine(to)
    to.add_argument("--link-bind", metavar="BINDINGS", help="take blocks of shippers and proxies here (NIC:PORT)")
    to.add_argument("--link-to", action="append", metavar="HOST:PORT", help="hand them on to this router or proxy")
    to.add_argument("--xsub-bind", action="append", metavar="ENDPOINT", help="bind XSUB for the original's publishers")
    to.add_argument(
        "--xsub-connect-to", action="append", metavar="ENDPOINT", help="the old name of --xsub-bind: it binds"
    )
    to.add_argument("--xsub-dial", action="append", metavar="ENDPOINT", help="connect XSUB to another proxy's XPUB")
    to.add_argument("--xpub-bind", action="append", metavar="ENDPOINT", help="bind XPUB for the original's subscribers")


def _add_shipper(to: argparse.ArgumentParser) -> None:
    _add_engine(to)
    _add_listener(to)
    _files(
        to.add_argument(
            "--tail", action="append", metavar="FILE|GLOB", help="ship what is appended to files, line by line"
        )
    )
    to.add_argument("--stdin", action="store_true", help="ship the lines of the standard input, and stop at its end")
    to.add_argument(
        "--syslog",
        nargs="?",
        action="append",
        const=DEFAULT_BINDINGS["syslog"],
        metavar="BINDINGS",
        help=f"take syslog over TCP and UDP here ({DEFAULT_BINDINGS['syslog']})",
    )
    to.add_argument(
        "--host-metrics", nargs="?", const="10s", metavar="INTERVAL", help="measure this machine so often (10s)"
    )
    to.add_argument("--link-to", action="append", metavar="HOST:PORT", help="ship to this router or proxy")
    to.add_argument("--push-to", metavar="ENDPOINT", help="PUSH to the original's router (tcp://host:port)")
    to.add_argument("--pub-to", metavar="ENDPOINT", help="PUB to the original's proxy (connects, as it always did)")


def with_environment(options: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Fill what the command line left out from ``LOGARY_RUTTA_*``; ValueError if a value cannot be read."""
    merged = dict(options)
    for flag in ("log_level", "log_format", "health", "app_id", "shutdown_timeout"):
        if (text := environment.get(PREFIX + flag.upper())) and not merged.get(flag):
            merged[flag] = text
    for flag in ("verbose", "version"):
        if (text := environment.get(PREFIX + flag.upper())) and flag not in merged:
            merged[flag] = _boolean(PREFIX + flag.upper(), text)
    if (text := environment.get(PREFIX + "TLS_TRUST_CERT")) and "tls_trust_cert" not in merged:
        merged["tls_trust_cert"] = [text]
    if merged.get("config") is None:
        lines = environment.get(PREFIX + "LISTENER", "").splitlines()
        if "listener" in merged and not merged["listener"] and lines:
            merged["listener"] = [line.split() for line in lines if line.strip()]
        if "target" in merged and not merged["target"] and (text := environment.get(PREFIX + "TARGET")):
            merged["target"] = text.split()
    return merged


def _boolean(name: str, text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f"the environment variable {name} is {text!r}; it must be true or false")
    return words[text.lower()]


def warnings_of(options: Mapping[str, Any]) -> list[str]:
    """Say which settings are taken and mean nothing any more, or something else than their name says."""
    said = []
    if options.get("app_id"):
        said.append("--app-id is taken and has no meaning any more")
    if options.get("tls_trust_cert"):
        said.append("--tls-trust-cert is taken and has no meaning any more; TLS targets have their own caFile")
    if options.get("xsub_connect_to"):
        said.append("--xsub-connect-to binds, as it always did; its name is --xsub-bind now, and --xsub-dial connects")
    if options.get("target"):
        from rutta.uris import alias_of

        said += filter(None, map(alias_of, options["target"]))
    level = options.get("log_level")
    if level and str(level).lower() not in LEVEL_WORDS[1:]:
        said.append(f"the log level {level!r} is unknown; info is used (there are {', '.join(LEVEL_WORDS[1:])})")
    return said
