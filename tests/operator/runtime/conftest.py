"""The operator as a whole, in this process, against a fake API server in a thread."""

import asyncio
import contextlib
import importlib.util
import sys
from pathlib import Path

import aiohttp
import kopf
import pytest

from rutta_operator import log, program
from rutta_operator.k8s import lease
from rutta_operator.options import Options
from rutta_operator.wiring.graph import Key

HERE = Path(__file__).parent


def load(name):
    """Load a module that lies beside this one: folders of tests are no packages."""
    full = f"runtime_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, HERE / f"{name}.py")
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def fake():
    """The module with the fake API server and what goes with it."""
    return load("fake_api")


@pytest.fixture
def api(fake):
    """A fake API server without objects."""
    found = fake.FakeApi(load("fake_objects").Objects())
    found.start()
    yield found
    found.stop()


class Running:
    """An operator that runs."""

    def __init__(self, api, options):
        self.api, self.options = api, options
        self.program = program.Program(options, lambda: kopf.ConnectionInfo(server=api.url))
        self.task = asyncio.create_task(self.program.run())

    @property
    def idle(self):
        """Tell whether it leads and has nothing to do."""
        return self.leads and not len(self.program._work)

    @property
    def leads(self):
        return self.program._metrics.leader._value.get() == 1

    @property
    def in_step(self):
        """Tell whether the watches have brought all that is."""
        store = self.program._store
        known = {(key.kind, key.name): one.version for key, one in store.resources.items()}
        known |= {(kind, name): child.version for (kind, _, name), child in store._children.items()}
        return not any(known.get(place, 0) < version for place, version in self.api.versions(self.options.namespaces))

    @property
    def in_step_once(self):
        """Tell whether it has known all that there was."""
        return self.program._in_step

    async def page(self, path):
        """Return status and text of one of its pages."""
        url = f"http://127.0.0.1:{self.program._pages.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    def known(self, kind, name, namespace="default"):
        return self.program._store.resources[Key(kind, namespace, name)]

    def children(self, kind, name, namespace="default"):
        return self.program._store.children(Key(kind, namespace, name))

    async def settled(self):
        """Wait until there is nothing more to do, and the watches have told of it all."""
        await load("fake_api").eventually(lambda: self.idle and self.in_step)

    def again(self):
        """Work on everything again."""
        self.program._work.extend(self.program._store.resources)

    async def stop(self):
        """Stop it as kubelet does."""
        self.program.stop()
        return await asyncio.wait_for(self.task, 10)

    async def kill(self):
        """Stop it as a machine that dies does: nothing is released."""
        self.program._lease.release = _nothing
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def _nothing():
    return


@pytest.fixture
def condition(api):
    """Tells the status of a resource's condition."""

    def find(kind, name, condition, namespace="default"):
        found = api.get(kind, name, namespace) or {}
        conditions = (found.get("status") or {}).get("conditions", ())
        return next((one["status"] for one in conditions if one["type"] == condition), None)

    return find


@pytest.fixture
async def start(api, fake, monkeypatch):
    """Starts operators, and stops what still runs at the end of a test."""
    log.set_up("debug", "logfmt")
    monkeypatch.setattr(lease, "_RETRY", 0.1)
    running = []

    async def begin(*, ready=True, **changes):
        options = Options(
            namespaces=(), dataplane_image="logary/rutta:test", image_pull_secrets=(), bind=("127.0.0.1", 0),
            lease_namespace="default", lease_name="rutta-operator", identity=f"operator-{len(running)}", workers=4,
            sweep=60.0, poll=3600.0, log_level="debug", log_format="logfmt",
        )._replace(**changes)  # fmt: skip
        one = Running(api, options)
        running.append(one)
        if ready:
            await fake.eventually(lambda: one.idle or one.task.done())
            assert not one.task.done(), one.task.result()
        return one

    yield begin
    for one in running:
        if not one.task.done():
            await one.stop()
