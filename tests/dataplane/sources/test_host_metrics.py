"""The source ``hostMetrics``, and what is measured: of this machine, and of a made-up host's ``/proc``."""

import asyncio
import json
import os
import socket
import threading
from pathlib import Path

import psutil
import pytest

from rutta.codecs import json as json_codec
from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.host import meter, places
from rutta.host.meter import GROUPS, Meter
from rutta.host.places import Place
from rutta.message import NOTHING
from rutta.sources import host_metrics

OWN = Place(None, None)


def make(**settings):
    return host_metrics.make(convert({"interval": "100ms", **settings}, host_metrics.Config), "metrics")


def by_name(readings, **labels):
    return {one.name: one for one in readings if labels.items() <= dict(one.labels).items()}


# --- this machine -----------------------------------------------------------------------------------------------


def test_every_group_says_something_and_no_name_has_two_units():
    one = Meter(OWN, GROUPS, ())
    one.measure()
    found = one.measure()
    assert one.missing == {}
    assert {reading.name.split(".")[1] for reading in found} >= {"cpu", "load", "memory", "swap", "uptime", "processes"}
    assert all(isinstance(reading.value, int | float) for reading in found)
    units = {}
    for reading in found:
        assert units.setdefault(reading.name, reading.unit) == reading.unit
    assert len({(one.name, *sorted(one.labels.items())) for one in found}) == len(found)


def test_shares_are_fractions_of_one():
    one = Meter(OWN, GROUPS, ())
    one.measure()
    os.urandom(10_000_000)  # some time for the CPU's clock to tick
    found = [reading for reading in one.measure() if reading.unit == "percent"]
    assert found
    assert all(0 <= reading.value <= 1.1 for reading in found), found  # a disk's clock is another one
    modes = [reading.value for reading in found if reading.name == "host.cpu.usage"]
    assert not modes or sum(modes) == pytest.approx(1)


def test_only_the_groups_that_are_asked_for_are_measured():
    names = {reading.name for reading in Meter(OWN, ["load", "memory"], ()).measure()}
    assert {name.split(".")[1] for name in names} == {"load", "memory", "swap"}


# --- a host, as a container sees it -----------------------------------------------------------------------------

STAT = "cpu  {user} 0 {system} {idle} {iowait} 0 0 0 0 0\ncpu0 1 0 1 1 0 0 0 0 0 0\nctxt {switches}\n" \
       "intr {switches}\nbtime 1700000000\nsoftirq 5 1 1 1 1 1\n"  # fmt: skip
NET = "Inter-| Receive | Transmit\n face |bytes packets errs drop | bytes\n" \
      "  eth0: {bytes} 10 1 2 0 0 0 0 500 5 0 0 0 0 0 0\n  veth1: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n"  # fmt: skip
MEMORY = "MemTotal: 1000 kB\nMemFree: 400 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\nCached: 100 kB\n" \
         "SwapTotal: 200 kB\nSwapFree: 150 kB\nActive: 1 kB\nInactive: 1 kB\nShmem: 1 kB\nSlab: 1 kB\n"  # fmt: skip
DISKS = "   8  0 sda {reads} 0 {sectors} 0 7 0 8 0 0 {busy} 0\n"
MOUNTS = "overlay / overlay rw 0 0\n/dev/sda1 / ext4 rw 0 0\n/dev/sda1 /var/lib/kubelet ext4 rw 0 0\n" \
         "/dev/sdb1 /my\\040disk ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/gone /gone ext4 rw 0 0\n"  # fmt: skip


class Host:
    """A host's /proc and root, in folders."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.root = folder / "proc", folder / "root"
        (self.proc / "1/net").mkdir(parents=True)
        (self.proc / "net").mkdir()
        (self.root / "my disk").mkdir(parents=True)
        self.write("filesystems", "nodev\tproc\nnodev\toverlay\n\text4\nnodev\tzfs\n")
        self.write("1/mounts", MOUNTS)
        self.write("meminfo", MEMORY)
        self.write("vmstat", "pswpin 0\npswpout 0\n")
        self.write("net/dev", NET.format(bytes=1))  # the container's own: its numbers must not come out
        self.tick(user=0, system=0, idle=0, iowait=0, switches=0, bytes=1000, reads=0, sectors=0, busy=0)

    def write(self, name: str, text: str) -> None:
        (self.proc / name).write_text(text)

    def tick(self, **numbers: int) -> None:
        self.write("stat", STAT.format(**numbers))
        self.write("1/net/dev", NET.format(**numbers))
        self.write("diskstats", DISKS.format(**numbers))

    @property
    def place(self) -> Place:
        return Place(str(self.proc), str(self.root))


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def clock(monkeypatch):
    """Let two seconds pass between two measurements."""
    now = iter(range(100, 200, 2))
    monkeypatch.setattr(meter.time, "monotonic", lambda: float(next(now)))


def test_the_hosts_numbers_come_out_and_counters_become_rates(host, clock, monkeypatch):
    monkeypatch.setattr(meter, "_whole_disks", sorted)
    one = Meter(host.place, GROUPS, host_metrics.EXCLUDED)
    first = one.measure()
    assert not {"host.cpu.busy", "host.network.received", "host.disk.read"} & by_name(first).keys()
    host.tick(user=30, system=10, idle=50, iowait=10, switches=400, bytes=5000, reads=6, sectors=8, busy=500)
    found = one.measure()
    assert one.missing == {}
    values = {name: one.value for name, one in by_name(found).items()}
    assert {name: one for name, one in values.items() if name.startswith(("host.memory", "host.swap"))} == {
        "host.memory.total": 1000 * 1024, "host.memory.available": 600 * 1024, "host.memory.free": 400 * 1024,
        "host.memory.used": values["host.memory.used"], "host.memory.cached": 100 * 1024,
        "host.memory.buffers": 50 * 1024, "host.memory.usage": pytest.approx(0.4),
        "host.swap.total": 200 * 1024, "host.swap.used": 50 * 1024, "host.swap.free": 150 * 1024,
        "host.swap.usage": 0.25, "host.swap.in": 0, "host.swap.out": 0,
    }  # fmt: skip
    modes = {one.labels["mode"]: one.value for one in found if one.name == "host.cpu.usage"}
    assert (modes["user"], modes["system"], modes["idle"], modes["iowait"]) == pytest.approx((0.3, 0.1, 0.5, 0.1))
    assert by_name(found)["host.cpu.busy"].value == pytest.approx(0.4)
    assert by_name(found)["host.cpu.contextSwitches"].value == 200
    network = by_name(found, interface="eth0")
    assert (network["host.network.received"].value, network["host.network.received"].unit) == (2000, meter.BYTE_RATE)
    disk = by_name(found, device="sda")
    assert (disk["host.disk.read"].value, disk["host.disk.reads"].value) == (8 * 512 / 2, 3)
    assert disk["host.disk.busy"].value == 0.25
    assert by_name(found)["host.uptime"].value > 0
    assert not by_name(found, interface="veth1")


def test_the_hosts_file_systems_are_looked_at_under_its_root_each_device_once(host):
    found = Meter(host.place, ["fileSystems"], host_metrics.EXCLUDED).measure()
    assert {(one.labels["device"], one.labels["mount"], one.labels["type"]) for one in found} == {
        ("/dev/sda1", "/", "ext4"), ("/dev/sdb1", "/my disk", "ext4"),
    }  # fmt: skip
    total = by_name(found, mount="/my disk")["host.fileSystem.total"]
    assert (total.value, total.unit) == (psutil.disk_usage(str(host.root)).total, "bytes")


def test_without_the_hosts_root_no_file_system_is_taken_for_the_hosts(host):
    place = Place(str(host.proc), None)
    assert Meter(place, ["fileSystems"], ()).measure() == []


def test_a_counter_that_began_anew_gives_no_rate(host, clock):
    one = Meter(host.place, ["network"], ())
    one.measure()
    host.tick(user=1, system=1, idle=1, iowait=1, switches=1, bytes=10, reads=0, sectors=0, busy=0)
    assert "host.network.received" not in by_name(one.measure(), interface="eth0")
    host.tick(user=1, system=1, idle=1, iowait=1, switches=1, bytes=30, reads=0, sectors=0, busy=0)
    assert by_name(one.measure(), interface="eth0")["host.network.received"].value == 10


def test_a_group_that_cannot_be_read_is_left_out_and_said(host):
    (host.proc / "meminfo").unlink()
    one = Meter(host.place, ["memory", "load"], ())
    assert set(by_name(one.measure())) == {"host.load"}
    assert "meminfo" in one.missing["memory"]


def test_what_a_system_does_not_have_is_left_out(monkeypatch):
    """As on systems whose psutil knows less: no disks, no load, no inodes."""
    usage = psutil.disk_usage("/")
    monkeypatch.setattr(psutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda **_: None)
    monkeypatch.delattr(os, "statvfs")
    monkeypatch.setattr(psutil, "getloadavg", lambda: (_ for _ in ()).throw(NotImplementedError("no load here")))
    one = Meter(OWN, GROUPS, ())
    names = {reading.name for reading in one.measure()}
    assert "host.memory.total" in names
    assert "host.fileSystem.inodeUsage" not in names
    assert one.missing == {"load": "no load here"}


def test_psutil_has_its_own_proc_again_after_a_measurement(host):
    before = psutil.PROCFS_PATH
    Meter(host.place, GROUPS, ()).measure()
    assert before == psutil.PROCFS_PATH


def test_the_host_is_where_it_is_usually_mounted_or_where_it_is_said_to_be(host, monkeypatch):
    assert places.find(None, None) == OWN
    monkeypatch.setattr(places, "PROC", str(host.proc))
    monkeypatch.setattr(places, "ROOT", str(host.root))
    assert places.find(None, None) == host.place
    assert places.find("/elsewhere", None) == Place("/elsewhere", str(host.root))


# --- the source -------------------------------------------------------------------------------------------------


async def run(source, intake, until):
    await source.bind()
    serving = asyncio.create_task(source.serve(intake))
    await until()
    source.stop()
    async with asyncio.timeout(10):
        await serving


async def test_one_batch_per_interval_of_gauges_that_any_codec_of_ours_reads(intake, eventually):
    source = make()
    await run(source, intake, lambda: eventually(lambda: len(intake.blocks) >= 2))
    for block in intake.blocks[:2]:
        assert block.context == {"host": socket.gethostname()}
        batch = json_codec.make(True).decode(block, NOTHING)
        assert (len(batch) > 10, batch.failed) == (True, 0)
        events = batch.rows.events()
        assert {event.kind for event in events} == {"gauge"}
        assert len({event.timestamp for event in events}) == 1
        memory = next(event for event in events if event.name == "host.memory.total")
        assert (memory.gauge.unit.kind, memory.gauge.value) == ("bytes", psutil.virtual_memory().total)
    status = source.status()
    assert (status["proc"], status["missing"], status["gauges"]) == ("own", {}, intake.blocks[-1].data.count(b"\n"))


async def test_nothing_is_measured_while_a_queue_is_full(intake, eventually):
    source = make()
    intake.full_after = 1

    async def wait():
        await eventually(lambda: len(intake.blocks) == 1)
        measured = source.meter._at
        await asyncio.sleep(0.25)
        assert (len(intake.blocks), source.meter._at) == (1, measured)
        intake.drain()
        await eventually(lambda: len(intake.blocks) == 2)

    await run(source, intake, wait)


async def test_a_dead_disk_holds_up_neither_the_process_nor_its_end(intake, eventually, monkeypatch):
    hangs, release = threading.Event(), threading.Event()

    def hang(self):
        hangs.set()
        release.wait(30)
        return iter(())

    monkeypatch.setitem(meter._READ, "fileSystems", hang)
    try:
        await run(make(), intake, lambda: eventually(hangs.is_set))
    finally:
        release.set()
    assert intake.blocks == []


async def test_in_a_pod_the_hosts_name_is_the_nodes(monkeypatch, intake, eventually):
    monkeypatch.setenv("NODE_NAME", "node-7")
    await run(make(), intake, lambda: eventually(lambda: intake.blocks))
    assert intake.blocks[0].context == {"host": "node-7"}


async def test_what_is_missing_is_said_once(host, intake, eventually, caplog):
    (host.proc / "meminfo").unlink()
    source = make(procPath=str(host.proc))
    await run(source, intake, lambda: eventually(lambda: len(intake.blocks) >= 3))
    said = [record for record in caplog.records if getattr(record, "event", "") == "host_group_missing"]
    assert len(said) == 1
    assert "memory" in said[0].getMessage()
    assert "memory" in source.status()["missing"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": "1ms"}, "at least 100ms"),
        ({"groups": []}, "groups"),
        ({"groups": ["cpus"]}, "did you mean cpu"),
        ({"codec": "json"}, "unknown setting"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        convert(settings, host_metrics.Config)


async def test_a_proc_that_is_not_there_is_said_at_the_start():
    with pytest.raises(ConfigError, match="procPath /no/such is not there"):
        await make(procPath="/no/such").bind()
    with pytest.raises(ConfigError, match="rootPath /no/such is not there"):
        await make(rootPath="/no/such").bind()


def test_the_lines_are_json_of_the_v6_schema():
    reading = meter.Reading("host.load", 0.5, "scalar", {"minutes": "1"})
    assert json.loads(host_metrics._lines([host_metrics._event(reading, 7)])) == {
        "type": "gauge", "name": "host.load", "timestamp": 7, "labels": {"minutes": "1"},
        "gauge": {"type": "gauge", "value": 0.5, "unit": "scalar"},
    }  # fmt: skip
