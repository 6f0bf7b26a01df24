"""Which program has a port: from ``/proc``, where there is one."""

import os
from pathlib import Path
from typing import Final

_TABLES: Final = {"TCP": ("tcp", "tcp6"), "UDP": ("udp", "udp6")}
_LISTENING: Final = "0A"
UNKNOWN: Final = "another program"


def holder(protocol: str, port: int) -> str:
    """Name the program that has a port: ``nginx (process 812)``; or say that it is another one."""
    inodes = {inode for table in _TABLES[protocol] for inode in _inodes(table, port)}
    for directory in Path("/proc").glob("[0-9]*") if inodes else ():
        if inodes & _sockets(directory):
            return f"{_name(directory)} (process {directory.name})"
    return UNKNOWN


def _inodes(table: str, port: int) -> list[str]:
    """Return the inodes of the sockets that are bound to a port (proc(5), /proc/net/tcp)."""
    try:
        lines = Path("/proc/net", table).read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [row for line in lines if int((row := line.split())[1].rpartition(":")[2], 16) == port]
    listening = [row for row in rows if row[3] == _LISTENING]
    return [row[9] for row in listening or rows]  # none listens: a connection out has it


def _sockets(directory: Path) -> set[str]:
    """Return the inodes of a process's sockets; none if it is another user's."""
    found = set()
    try:
        for one in os.scandir(directory / "fd"):
            target = os.readlink(one.path)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found


def _name(directory: Path) -> str:
    try:
        return (directory / "comm").read_text().strip() or UNKNOWN
    except OSError:
        return UNKNOWN
