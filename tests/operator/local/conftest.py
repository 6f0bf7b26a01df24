"""Runs ``ruttactl up`` in a process of its own, with a stand-in for the data plane."""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_dataplane.py")
DRIVER = """\
import sys
from rutta_operator.local import up
up.up.__kwdefaults__ |= {"pause": 0.01, "start_timeout": float(sys.argv[2])}
from rutta_operator.ctl.__main__ import main
sys.exit(main(["up", *sys.argv[3:]], program=[sys.executable, sys.argv[1]]))
"""


class Running:
    """A ``ruttactl up`` under way; its two outputs are read as they come."""

    def __init__(self, words, text, start_timeout, stdout):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(FAKE), str(start_timeout), "-f", "-", *words],
            stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.process.stdin.write(text)
        self.process.stdin.close()
        self.out, self.err, self.seen = queue.Queue(), queue.Queue(), []
        self.readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
            if stream is not None
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, lines):
        for line in stream:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def fact(self):
        """Return the next line of JSON on stdout."""
        line = self.out.get(timeout=15)
        if line is None:
            raise AssertionError("it ended:\n" + "\n".join(self.rest(self.err)))
        return json.loads(line)

    def until(self, part, lines=None):
        """Return the next line of stderr (or of ``lines``) that has ``part`` in it."""
        while (line := (lines or self.err).get(timeout=15)) is not None:
            self.seen.append(line)
            if part in line:
                return line
        raise AssertionError(f"{part!r} never came; there was:\n" + "\n".join(self.seen))

    def rest(self, lines):
        """Return what is left of an output, once it has ended."""
        found = []
        while (line := lines.get(timeout=15)) is not None:
            found.append(line)
        return found

    def stop(self, number=signal.SIGINT):
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=15)


@pytest.fixture
def up():
    """Start ``ruttactl up`` with a topology as text; whatever still runs at the end is killed."""
    with contextlib.ExitStack() as stack:

        def start(text, *words, start_timeout=15.0, stdout=subprocess.PIPE):
            running = Running(words, text, start_timeout, stdout)
            stack.callback(_end, running)
            return running

        yield start


def _end(running):
    if running.process.poll() is None:
        running.process.kill()  # its children get SIGTERM from the kernel
        running.process.wait(timeout=15)
    for reader in running.readers:
        reader.join(timeout=15)
    for stream in (running.process.stdout, running.process.stderr):
        if stream is not None:
            stream.close()
