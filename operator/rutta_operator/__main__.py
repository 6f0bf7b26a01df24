"""``rutta-operator``: options, logging, and the program."""

import asyncio
import sys
from collections.abc import Sequence

import kopf

from rutta_operator import log, options
from rutta_operator.k8s import access
from rutta_operator.program import Program
from rutta_operator.spec.problems import USER_ERROR, Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Run the operator and return its exit code."""
    try:
        chosen = options.read(argv)
    except Refused as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    log.set_up(chosen.log_level, chosen.log_format)
    return asyncio.run(_run(chosen))


async def _run(chosen: options.Options) -> int:
    try:
        return await Program(chosen, access.login).run()
    except kopf.LoginError as exc:
        log.error("login", f"The API server cannot be reached: {exc}.")
        return USER_ERROR
    except OSError as exc:
        log.error("bind", f"--bind: {':'.join(map(str, chosen.bind))} cannot be bound: {exc.strerror or exc}.")
        return USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
