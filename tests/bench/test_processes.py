"""CPU time and memory, read from a /proc that the test writes; and of a real process."""

import subprocess
import sys
from types import SimpleNamespace

from rutta_bench import machine, measure, processes


def _proc(root, pid, *, ticks, children="", hwm=0, rss=0):
    folder = root / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    times = " ".join(map(str, ticks))
    (folder / "stat").write_text(f"{pid} (a (b) c) S 1 1 1 0 -1 0 0 0 0 0 {times} 20 0 1 0 5 0 0\n")
    (folder / "status").write_text(f"Name:\ta\nVmHWM:\t{hwm} kB\nVmRSS:\t{rss} kB\n")


def test_cpu_counts_threads_children_and_children_that_are_gone(tmp_path):
    _proc(tmp_path, 10, ticks=(100, 50, 20, 30), children="11 12 ")
    _proc(tmp_path, 11, ticks=(7, 3, 0, 0))
    _proc(tmp_path, 12, ticks=(1, 0, 0, 0), children="13")
    _proc(tmp_path, 13, ticks=(4, 0, 0, 0))
    root = SimpleNamespace(pid=10)
    hertz = processes._TICKS
    assert processes.cpu([root], proc=tmp_path) == 215 / hertz
    assert processes.cpu([root], children_only=True, proc=tmp_path) == 15 / hertz


def test_memory_is_summed_and_a_process_that_left_is_nothing(tmp_path):
    _proc(tmp_path, 10, ticks=(0, 0, 0, 0), children="11 99", hwm=300, rss=200)
    _proc(tmp_path, 11, ticks=(0, 0, 0, 0), hwm=30, rss=20)
    root = SimpleNamespace(pid=10)
    assert processes.memory([root], "VmHWM", tmp_path) == 330 * 1024
    assert processes.memory([root], "VmRSS", tmp_path) == 220 * 1024
    assert processes.cpu([root], proc=tmp_path) == 0


def test_a_listening_port_is_seen_and_a_connection_to_the_same_port_is_not(tmp_path):
    head = "  sl  local_address rem_address   st\n"
    (tmp_path / "tcp").write_text(head + "   0: 0100007F:1F90 0100007F:8000 01\n")
    assert not processes.is_bound(8080, "tcp", tmp_path)
    (tmp_path / "tcp6").write_text(head + f"   0: {'0' * 32}:1F90 {'0' * 32}:0000 0A\n")
    assert processes.is_bound(8080, "tcp", tmp_path)
    assert not processes.is_bound(8081, "tcp", tmp_path)


def test_a_real_process_has_cpu_time_and_memory_and_is_gone_when_stopped(tmp_path):
    spin = "import time\nwhile time.process_time() < .2: pass\nprint('ok', flush=True)\ninput()"
    process = subprocess.Popen(
        [sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout.readline() == b"ok\n"
        assert 0.15 <= processes.cpu([process]) < 5
        assert processes.memory([process], "VmHWM") > 1 << 20
    finally:
        processes.stop([process])
        process.stdin.close()
        process.stdout.close()
    assert process.returncode != 0


def test_settling_finds_when_the_cpu_time_began_to_stand_still():
    clock = iter(x / 10 for x in range(1000))
    used = iter([0.0, 0.1, 0.2, 0.3, *[0.3] * 20])
    settled = measure.settle(lambda: next(used), 60, lambda: next(clock))
    assert settled == measure.Settled(at=settled.at, cpu=0.3)
    assert 0.3 <= settled.at <= 0.5


def test_settling_gives_up_after_the_longest_time():
    clock = iter(range(1000))
    used = iter(range(1000))
    assert measure.settle(lambda: next(used), 5, lambda: next(clock)).at <= 7


def test_the_work_of_all_processors_leaves_out_idling_and_waiting():
    hertz = machine._TICKS
    assert machine.busy("cpu  100 20 30 9999 999 4 5 6 0 0\ncpu0 1 1 1 1 1 1 1 1") == 165 / hertz


def test_waiting_for_quiet_ends_when_it_is_quiet_or_patience_is_over():
    clock = iter(x / 2 for x in range(1000))
    busy_then_quiet = iter([0.0, 1.0, 1.0, 1.9, 1.9, 1.95])
    assert machine.wait_for_quiet(60, lambda: next(busy_then_quiet), lambda: next(clock), lambda _seconds: None)
    always = iter(range(1000))
    assert not machine.wait_for_quiet(3, lambda: next(always), lambda: next(clock), lambda _seconds: None)
    assert not machine.wait_for_quiet(0)
