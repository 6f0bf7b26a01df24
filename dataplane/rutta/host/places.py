"""Where the host's ``/proc`` and root are: mounted into a container, or our own; and what is mounted on the host.

In a container ``/proc`` shows the container's own network and mounts. Of the host's ``/proc``, mounted somewhere, the
first process shows the host's: proc(5), ``/proc/pid/net`` and ``/proc/pid/mounts``, both readable by everybody.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psutil

PROC: Final = "/host/proc"  # where the operator, and most manifests, mount them
ROOT: Final = "/host/root"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")  # fstab(5): spaces and the like in names


class Mount(NamedTuple):
    """A file system: its device, where it is on the host, where we reach it, and its type."""

    device: str
    mount: str
    path: str
    kind: str


class Place(NamedTuple):
    """The host's ``/proc`` and root as we see them; None: our own."""

    proc: str | None
    root: str | None

    @property
    def of_network(self) -> str | None:
        """The folder that psutil finds the host's ``net/dev`` in."""
        first = f"{self.proc}/1"
        return first if self.proc is not None and Path(first, "net/dev").exists() else self.proc

    def mounts(self) -> Iterator[Mount]:
        """Yield the file systems on devices, each device once."""
        seen = set[str]()
        for one in sorted(self._mounts(), key=lambda one: len(one.mount)):
            if one.device not in seen:
                seen.add(one.device)
                yield one

    def _mounts(self) -> Iterator[Mount]:
        if self.proc is None:
            for part in psutil.disk_partitions(all=False):
                yield Mount(part.device, part.mountpoint, f"{self.root or ''}{part.mountpoint}", part.fstype)
        elif self.root is not None:  # without it, paths of the host lead to what is ours
            kinds = _kinds(Path(self.proc, "filesystems"))
            for line in Path(self.proc, "1/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
                device, mount, kind, *_ = [_OCTAL.sub(lambda code: chr(int(code[1], 8)), word) for word in line.split()]
                if kind in kinds and device != "none":
                    yield Mount(device, mount, f"{self.root}{mount}", kind)


def _kinds(table: Path) -> set[str]:
    """Return the types of file systems that are on devices; zfs has its own."""
    rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()]
    return {row[-1] for row in rows if row and (row[0] != "nodev" or row[-1] == "zfs")}


def find(proc: str | None, root: str | None) -> Place:
    """Return the place that settings name, else where the host is usually mounted, else our own."""
    return Place(proc or (PROC if is_there(PROC) else None), root or (ROOT if is_there(ROOT) else None))


def is_there(path: str) -> bool:
    """Tell whether something is mounted there, or at least a folder."""
    return Path(path).is_dir()
