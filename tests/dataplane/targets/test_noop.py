"""The noop target counts, and keeps nothing."""

from collections.abc import Callable

from rutta.message import Batch
from rutta.targets import DELIVERED
from rutta.targets.noop import Config, make


async def test_everything_is_delivered_and_counted(batch: Callable[..., Batch]) -> None:
    target = make(Config(), "nowhere")
    batches = [batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})]
    await target.open()
    assert await target.send(batches) == DELIVERED
    await target.close()
    assert target.status() == {"events": 3, "bytes": sum(one.size for one in batches)}
    assert not target.columns
