"""``ruttactl up | check | status | render | graph | …``; each loads only the libraries it needs.

As ``kubectl-rutta`` on the PATH it is ``kubectl rutta``, with the same words.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rutta_operator import VERSION
from rutta_operator.spec.problems import Finding, Refused

_EXAMPLES: Final = """\
examples:
  ruttactl up -f examples/quickstart.yaml         run a topology on this machine; Ctrl-C stops it in order
  ruttactl check -f k8s/ -f extra.yaml            every mistake at once, with file and line
  ruttactl status -A                              how the topology of a cluster is, and what to mend
  ruttactl check --cluster -f new.yaml            files together with what is in the cluster
  ruttactl graph -f examples/topology.yaml        who sends to whom, as a tree
  ruttactl graph -f topology/ --output mermaid    the same for a README
  ruttactl render -f examples/router.yaml         the config that the data plane gets
  helm template chart | ruttactl check -f -       what another tool makes
exit codes: 0 fine · 1 something in the cluster is not ready · 22 something is wrong with the input ·
69 the cluster does not answer · 100 a process did not start · 130 killed
"""
_UP: Final = """\
Starts every resource as processes on this machine and wires them on loopback. Listeners are bound as their specs say,
on 127.0.0.1; links and health pages get free ports. A process that dies is started again. Ctrl-C stops shippers, then
proxies, then routers, and says what each received, delivered and dropped; a second Ctrl-C kills.

examples:
  ruttactl up -f examples/quickstart.yaml
  ruttactl up -f topology/ -f secrets.yaml --bind 0.0.0.0
  ruttactl up -f topology.yaml --output json 2>up.log     one line of JSON per process: pid, health page, listeners
"""
_RENDER: Final = """\
Prints the config that the processes of each resource read in a cluster; with --output manifests the Kubernetes objects
that run them, for a cluster without the operator. Namespaces that come with the resources are among them, Secrets are
not. Nobody removes what a change no longer needs, such as older ConfigMaps.

examples:
  ruttactl render -f examples/router.yaml
  ruttactl render -f examples/router.yaml --output manifests | kubectl apply -f -
"""
_STATUS: Final = """\
Draws the topology of a cluster from the statuses of its resources: who sends to whom, what is ready, and what is wrong
with its reason (docs/conditions.md). Reads the three kinds and nothing else.

examples:
  ruttactl status                     the namespace of the current context
  ruttactl status -A --watch          every namespace, again whenever something changes
  kubectl rutta status -n logs && ./next-step.sh
exit codes: 0 all are ready · 1 some are not · 22 nothing there, or it may not be read · 69 the cluster does not answer
"""
_CHECK: Final = """\
Reads, wires and says everything that is wrong, each with file, line and path. Nothing is started, nothing is applied.
With --cluster, references may lead to what is in the cluster; what the files would break there is told, too, and so are
Secrets that nobody has. Without files it checks what is in the cluster, or in its --namespace.
"""
_FILES: Final = "a file, a directory (its *.yaml) or - (standard input); give it as often as you like"
_ENDS: Final = argparse.RawDescriptionHelpFormatter


def parser() -> argparse.ArgumentParser:
    """Build the parser; the completion scripts are made of it too."""
    top = argparse.ArgumentParser(
        prog=_called(), epilog=_EXAMPLES, formatter_class=_ENDS, allow_abbrev=False,
        description="Run, check and draw topologies of shippers, proxies and routers.",
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"ruttactl {VERSION}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    up = _command(commands, "up", "run a topology on this machine", _UP, ("text", "json"))
    up.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="where listeners listen (default 127.0.0.1)")
    check = _command(
        commands, "check", "say everything that is wrong", _CHECK, needs_files=False,
        of_namespace="the namespace of resources that say none; without files, the only one to check",
    )  # fmt: skip
    check.add_argument("--cluster", action="store_true", help="check against what is in the cluster, too")
    check.set_defaults(namespace=None)
    _of_cluster(check)
    _status_command(commands)
    _command(commands, "render", "print what resources become in a cluster", _RENDER, ("yaml", "json", "manifests"))
    _command(commands, "graph", "draw who sends to whom",
             "Draws the topology, and what cannot be wired and why.", ("tree", "dot", "mermaid", "json"))  # fmt: skip
    completion = commands.add_parser("completion", help="print a completion script", formatter_class=_ENDS,
                                     description='For bash: eval "$(ruttactl completion bash)"')  # fmt: skip
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    commands.add_parser("version", help="print the version")
    return top


def _called() -> str:
    return "kubectl rutta" if Path(sys.argv[0]).name == "kubectl-rutta" else "ruttactl"


def _status_command(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "status", help="say how the topology of a cluster is", description=_STATUS, formatter_class=_ENDS,
        allow_abbrev=False,
    )  # fmt: skip
    where = command.add_mutually_exclusive_group()
    where.add_argument("-n", "--namespace", help="only this namespace (default: the context's)")
    where.add_argument("-A", "--all-namespaces", action="store_true", help="every namespace")
    command.add_argument("--output", "-o", choices=("tree", "json", "yaml"), default="tree", help="default tree")
    command.add_argument("--watch", "-w", action="store_true", help="say it again whenever it changes, until Ctrl-C")
    _of_cluster(command)


def _of_cluster(command: argparse.ArgumentParser) -> None:
    command.add_argument("--context", help="the context of the kubeconfig (default: its current one)")
    command.add_argument("--kubeconfig", metavar="FILE", help="default $KUBECONFIG, then ~/.kube/config")


def _command(
    commands: Any,
    name: str,
    purpose: str,
    description: str,
    outputs: Sequence[str] = (),
    *,
    needs_files: bool = True,
    of_namespace: str = "the namespace of resources that say none (default: default)",
) -> argparse.ArgumentParser:
    """Add a command that reads files."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=description, formatter_class=_ENDS, allow_abbrev=False
    )
    files = command.add_argument(
        "-f", "--filename", action="extend", nargs="+", required=needs_files, metavar="FILE", dest="files", help=_FILES
    )
    files.complete = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # type: ignore[attr-defined]
    command.add_argument("-n", "--namespace", default="default", help=of_namespace)
    if outputs:
        command.add_argument("--output", "-o", choices=outputs, default=outputs[0], help=f"default {outputs[0]}")
    return command


def main(argv: Sequence[str] | None = None, *, program: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. ``program`` stands in for the data plane's command (tests)."""
    options = _read(argv) | {"program": program}
    try:
        return _COMMANDS[options["command"]](options)
    except Refused as exc:
        return _refuse(exc.findings, exc.exit_code)
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()
        return 0


def _read(argv: Sequence[str] | None) -> dict[str, Any]:
    """Read the arguments; what nobody knows ends the program, with what was meant if that can be told."""
    top = parser()
    options, rest = top.parse_known_args(argv)
    if files := [one for one in rest if Path(one).exists()]:
        top.error(f"name files with -f: {_called()} {options.command} -f {' -f '.join(files)}")
    if rest:
        top.error(f"unknown arguments: {' '.join(rest)}; {_called()} {options.command} --help tells which there are")
    return vars(options)


def _refuse(findings: Sequence[Finding], code: int) -> int:
    for finding in findings:
        print(finding, file=sys.stderr)
    return code


def _up(options: Mapping[str, Any]) -> int:
    from rutta_operator.ctl.inputs import topology
    from rutta_operator.local.screen import Screen
    from rutta_operator.local.up import PROGRAM, up

    as_json = options["output"] == "json"
    read = topology(options, judged=options["program"] is None)
    screen = Screen(sys.stdout, sys.stderr, as_json=as_json)
    return up(read, screen, bind=options["bind"], as_json=as_json, program=options["program"] or PROGRAM)


def _check(options: Mapping[str, Any]) -> int:
    if options["cluster"]:
        from rutta_operator.ctl import against

        return against.check(options)
    from rutta_operator.ctl.inputs import check

    if not options["files"]:
        raise Refused([Finding(_called(), 0, (), "check needs files (-f FILE), a cluster (--cluster), or both")])
    return check({**options, "namespace": options["namespace"] or "default"})


def _status(options: Mapping[str, Any]) -> int:
    from rutta_operator.ctl.standing import status

    return status(options)


def _render(options: Mapping[str, Any]) -> int:
    from rutta_operator.ctl.inputs import topology
    from rutta_operator.ctl.rendering import render

    print(render(topology(options), options["output"]), end="")
    return 0


def _graph(options: Mapping[str, Any]) -> int:
    from rutta_operator.ctl import drawing
    from rutta_operator.ctl.inputs import topology

    read = topology(options)
    if options["output"] == "tree":
        drawing.tree(read, sys.stdout)
    else:
        print({"dot": drawing.dot, "mermaid": drawing.mermaid, "json": drawing.as_json}[options["output"]](read))
    return 0


def _completion(options: Mapping[str, Any]) -> int:
    import shtab

    print(shtab.complete(parser(), options["shell"]))
    return 0


def _version(_: Mapping[str, Any]) -> int:
    print(f"ruttactl {VERSION}")
    return 0


_COMMANDS: Final[Mapping[str, Callable[[Mapping[str, Any]], int]]] = {
    "up": _up,
    "check": _check,
    "status": _status,
    "render": _render,
    "graph": _graph,
    "completion": _completion,
    "version": _version,
}

if __name__ == "__main__":
    sys.exit(main())
