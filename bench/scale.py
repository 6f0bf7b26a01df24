"""``make bench-operator``: what the operator costs with a thousand resources, on a real API server.

It makes a kind cluster whose only real node runs the control plane. The pods "run" on fake nodes: kwok, one process
beside the cluster (``kwok --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --config
rutta_scale/kwok.yaml``), keeps their leases and lets every pod that is scheduled there be Running and Ready, so
Deployments and DaemonSets become available. The operator runs from its image in Docker, in the host's network, with its
chart's rights; one server stands in for the data plane's health pages. Who wrote what is read from the API server's
audit log.

Needed on PATH: docker, kind, kubectl, helm, kwok. KIND_NODE_IMAGE names the image of kind's node, if not kind's own.
"""

import argparse
import asyncio
import datetime
import os
import shutil
import signal
import sys
from collections.abc import Sequence

from rutta_bench import machine, marks
from rutta_scale import report, stand_in
from rutta_scale.api import Api
from rutta_scale.phases import Asked, Bench
from rutta_scale.place import Place
from rutta_scale.program import Program
from rutta_scale.report import Figures
from rutta_scale.shell import ROOT, Failed, run, say

OK, BROKEN, USAGE, MISSED = 0, 1, 2, 3
IMAGE = "logary/rutta-operator:bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; return the exit code, which is not 0 where a bar is missed."""
    options = _parser().parse_args(arguments)
    if missing := [name for name in ("docker", "kind", "kubectl", "helm", "kwok") if shutil.which(name) is None]:
        print(f"{', '.join(missing)}: not on PATH; the measurement needs them.", file=sys.stderr)
        return USAGE
    if not options.image:
        say("Building the operator's image ...")
        run("docker", "build", "-q", "-f", "Dockerfile.operator", "-t", IMAGE, ".", timeout=900)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(BROKEN))  # so that nothing is left running
    place = Place(options.cluster, ROOT / "var" / "bench" / options.cluster)
    try:
        place.make(nodes=4, pods=options.resources * 4)
        figures = asyncio.run(_measure(options, place))
    except Failed as exc:
        print(exc, file=sys.stderr)
        return BROKEN
    finally:
        place.end(keep=options.keep)
    written = report.markdown(figures)
    if options.into:
        options.into.put(written)
    print(written, end="")
    if missed := report.missed(figures):
        print("Missed: " + "; ".join(missed) + ".", file=sys.stderr)
    return MISSED if missed else OK


async def _measure(options: argparse.Namespace, place: Place) -> Figures:
    server, authority = place.server()
    async with Api(server, authority, place.token("bench")) as api:
        hosts = place.folder / "hosts"
        program = Program(f"{options.cluster}-operator", options.image or IMAGE, place.kubeconfig(place.account), hosts)
        bench = Bench(place, api, program, options.resources)
        hosts.write_text(stand_in.hosts(bench.resources, "127.0.0.1"), "utf-8")
        setting = _setting(options, place)
        try:
            async with stand_in.StandIn(bench.resources) as answering:
                say(f"Creating {options.resources} resources ...")
                await bench.create()
                nothing = await bench.from_nothing()
                still = await bench.still(options.still, Asked(answering))
                paced = await bench.changes(options.changes, options.every)
                rushed = await bench.changes(options.changes, 0.0)
                await bench.settled()
                restart = await bench.restart()
        finally:
            program.end(place.folder / "operator.log")
        return Figures(setting, options.resources, nothing, still, paced, rushed, restart)


def _setting(options: argparse.Namespace, place: Place) -> dict[str, str]:
    commit = run("git", "rev-parse", "--short", "HEAD").strip()
    return {
        "machine": ", ".join(f"{key} {text}" for key, text in machine.describe().items())
        + "; cluster, kwok, operator and bench share it",
        "cluster": f"{place.versions()}; load average at the start {os.getloadavg()[0]:.1f}",
        "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC") + f", commit {commit}",
        "what": f"{options.resources} resources: half routers, 20 % proxies, 30 % shippers (two of three DaemonSets)",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/scale.py",
        description=__doc__.split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--resources", type=int, default=1000, metavar="N", help="how many (1000)")
    parser.add_argument(
        "--changes", type=int, default=300, metavar="N", help="how many changes to take the time of, twice (300)"
    )
    parser.add_argument("--every", type=float, default=0.5, metavar="S", help="one change in so many seconds (0.5)")
    parser.add_argument(
        "--still",
        type=float,
        default=330,
        metavar="S",
        help="how long to watch a standstill (330: a sweep falls in it)",
    )
    parser.add_argument("--image", metavar="IMAGE", help="the operator's image (default: built from this checkout)")
    parser.add_argument("--cluster", default="rutta-bench", metavar="NAME", help="the kind cluster (rutta-bench)")
    parser.add_argument("--keep", action="store_true", help="leave the cluster")
    parser.add_argument(
        "--into",
        type=lambda text: marks.place(text, "bench-operator"),
        metavar="FILE[#PLACE]",
        help="also put the table between this document's marks (<!-- PLACE: begin -->; default: bench-operator)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
