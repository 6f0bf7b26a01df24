"""``rutta router | proxy | shipper | check | schema | version | completion``."""

import asyncio
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rutta import VERSION, arguments, cli
from rutta.errors import ConfigError, Problem


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--"]:  # the original's Windows habit
        del words[0]
    parser = cli.parser()
    try:
        options = cli.parse(parser, words)
        options = cli.with_environment(options, os.environ)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else cli.BAD_GLOBALS
    except ValueError as exc:
        print(f"rutta: {exc}")
        return cli.BAD_GLOBALS
    if options.get("version") or options["subcommand"] == "version":
        print(f"rutta {VERSION} (Python {platform.python_version()})")
        return cli.OK
    if options["subcommand"] is None:
        parser.print_usage(sys.stderr)
        print("rutta: a subcommand is missing: router, proxy or shipper; rutta --help tells more", file=sys.stderr)
        return cli.NO_SUBCOMMAND
    return _COMMANDS[options["subcommand"]](options)


def _completion(options: Mapping[str, Any]) -> int:
    import shtab

    print(shtab.complete(cli.parser(), options["shell"]))
    return cli.OK


def _schema(options: Mapping[str, Any]) -> int:
    from rutta.config_schema import text

    print(text(), end="")
    return cli.OK


def _check(options: Mapping[str, Any]) -> int:
    """Check config files, open nothing; say everything that is wrong with all of them."""
    wrong: list[dict[str, str]] = []
    for file in options["config"]:
        wrong += [{"file": file, "path": one.path, "message": one.message} for one in _problems(file, options)]
    if options["output"] == "json":
        import msgspec

        print(msgspec.json.encode(wrong).decode())
    else:
        for one in wrong:
            print(f"{one['file']}: {Problem(one['path'], one['message'])}", file=sys.stderr)
    return cli.BAD_SUBCOMMAND if wrong else cli.OK


def _problems(file: str, options: Mapping[str, Any]) -> Sequence[Problem]:
    from rutta import config
    from rutta.lanes import build

    try:
        loaded = config.load(file)
        build(loaded.targets)
    except ConfigError as exc:
        return exc.problems
    if options["output"] == "text":
        print(f"{file}: fine ({len(loaded.listeners)} listeners, {len(loaded.targets)} targets)")
    return ()


def _refuse(exc: ConfigError, where: str | None) -> int:
    for problem in exc.problems:
        print(f"{where}: {problem}" if where else f"rutta: {problem}", file=sys.stderr)
    return cli.BAD_SUBCOMMAND


def _engine(options: Mapping[str, Any]) -> int:
    """Run a router, proxy or shipper until a signal."""
    from rutta import log

    for warning in cli.warnings_of(options):
        print(f"rutta: {warning}", file=sys.stderr)
    if options["subcommand"] == "proxy" and _is_forwarder(options):
        return _forward(options)
    try:
        read = _reader(options)
        config = read()
    except ConfigError as exc:
        return _refuse(exc, options.get("config"))
    log.set_up(config.process.log_level, config.process.log_format)
    from rutta import process

    watched = Path(options["config"]) if options.get("config") else None
    try:
        return _run(process.run(config, reload=_named(read, watched) if watched else read, watched=watched))
    except ConfigError as exc:
        for problem in exc.problems:
            print(f"rutta: {problem}", file=sys.stderr)
        return cli.START_FAILED


def _reader(options: Mapping[str, Any]) -> Callable[[], Any]:
    """Return what reads the configuration, now and at each reload."""
    from rutta import config

    file = options.get("config")
    beside = [flag for flag in _BESIDE if file and options.get(flag)]
    if beside:
        flags = ", ".join("--" + flag.replace("_", "-") for flag in beside)
        raise ConfigError(f"{flags} and --config exclude each other: the file says what listens and where events go")
    if not file:
        return lambda: config.parse(arguments.document_of(options))
    return lambda: config.load(
        file, over={"role": str(options["subcommand"]).capitalize()} | arguments.process_of(options)
    )


def _named(read: Callable[[], Any], file: Path) -> Callable[[], Any]:
    """Say with which file something is wrong: at a reload nobody else does."""

    def again() -> Any:
        try:
            return read()
        except ConfigError as exc:
            raise ConfigError(
                Problem(f"{file}: {one.path}".removesuffix(": "), one.message) for one in exc.problems
            ) from exc

    return again


_BESIDE = (
    "listener", "target", "tail", "stdin", "syslog", "host_metrics", "link_bind", "link_to", "push_to", "pub_to",
    "disable_cors",
)  # fmt: skip


def _is_forwarder(options: Mapping[str, Any]) -> bool:
    return any(options.get(key) for key in ("xsub_bind", "xsub_connect_to", "xsub_dial", "xpub_bind"))


def _forward(options: Mapping[str, Any]) -> int:
    """Run the original's XSUB ⇄ XPUB proxy."""
    from rutta import log, process

    said = arguments.process_of(options)
    log.set_up(said.get("logLevel", "info"), said.get("logFormat", "logfmt"))
    binds = [*(options.get("xsub_bind") or ()), *(options.get("xsub_connect_to") or ())]
    dials = options.get("xsub_dial") or []
    if not (binds or dials) or not options.get("xpub_bind"):
        print("rutta: the proxy needs --xsub-bind (or --xsub-dial) and --xpub-bind", file=sys.stderr)
        return cli.BAD_SUBCOMMAND
    try:
        return _run(process.forward(binds, dials, options["xpub_bind"], health=options.get("health")))
    except ConfigError as exc:
        print(f"rutta: {exc}", file=sys.stderr)
        return cli.START_FAILED


def _run(work: Any) -> int:
    _fill_standard_files()
    try:
        import uvloop
    except ImportError:
        code: int = asyncio.run(work)
    else:
        code = uvloop.run(work)
    return code


def _fill_standard_files() -> None:
    """Open what was closed of the three standard files; libuv aborts when one of its own has such a number."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(file)


_COMMANDS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "router": _engine,
    "proxy": _engine,
    "shipper": _engine,
    "check": _check,
    "schema": _schema,
    "completion": _completion,
}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
