"""The watches of what belongs to resources: lists, versions that are too old, trouble, streams cut anywhere."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta_operator import reflector
from rutta_operator.k8s import cluster
from rutta_operator.k8s.refusals import Gone, Unavailable

NEVER = 3600.0


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(reflector, "_PAUSE", (0.02, 0.1))


async def test_what_vanished_while_a_watch_was_away_is_made_again_without_any_sweep(api, fake, start):
    api.apply(fake.router())
    operator = await start(sweep=NEVER)
    await operator.settled()
    api.delete("Service", "main-router", told=False)
    api.compact()
    api.drop_watches()
    await fake.eventually(lambda: api.get("Service", "main-router"))


async def test_a_watch_goes_on_where_the_one_before_it_was_cut(api, fake, start):
    api.apply(fake.router())
    operator = await start(sweep=NEVER)
    await operator.settled()
    before = sum(verb == "list" and plural == "services" for verb, plural, *_ in api.requests)
    for number in range(3):
        api.drop_watches()
        api.edit("Service", "main-router", lambda found, app=f"{number}": found["spec"].update(selector={"app": app}))
        await fake.eventually(
            lambda app=f"{number}": api.get("Service", "main-router")["spec"]["selector"] != {"app": app}
        )
    assert sum(verb == "list" and plural == "services" for verb, plural, *_ in api.requests) == before


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_kind_that_cannot_be_watched_for_a_while_holds_up_no_other(api, fake, start, condition, status):
    left = iter(range(6))
    api.trouble.append(
        lambda verb, plural, name: (
            status if (verb, plural) == ("watch", "services") and next(left, None) is not None else None
        )
    )
    api.apply(fake.router())
    operator = await start(sweep=NEVER)
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    await fake.eventually(lambda: next(left, None) is None)
    api.edit("Service", "main-router", lambda found: found["spec"].update(selector={"app": "another"}))
    await fake.eventually(lambda: api.get("Service", "main-router")["spec"]["selector"] != {"app": "another"})
    assert not operator.task.done()


async def test_an_object_that_we_cannot_read_is_said_and_left_out(api, fake, start, monkeypatch, caplog):
    api.apply(fake.router())
    operator = await start(sweep=NEVER)
    await operator.settled()
    store, really = operator.program._store, operator.program._store.put_child

    def put_child(body):
        if body["metadata"]["name"] == "strange":
            raise KeyError("uid")
        return really(body)

    monkeypatch.setattr(store, "put_child", put_child)
    labels = api.get("Service", "main-router")["metadata"]["labels"]
    strange = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "strange", "labels": labels}, "spec": {}}
    api.apply(strange)
    await fake.eventually(lambda: "Service default/strange cannot be read" in caplog.text)
    api.delete("Service", "main-router")
    await fake.eventually(lambda: api.get("Service", "main-router"))


async def test_more_objects_than_a_page_has_are_all_known(api, fake, start):
    api.page = 3
    api.apply(*(fake.router(f"r{number}") for number in range(5)))
    operator = await start(sweep=NEVER)
    await operator.settled()
    await operator.stop()
    before = len(api.writes())
    again = await start(sweep=NEVER)
    await again.settled()
    assert {name for kind, name in again.children("RuttaRouter", "r4") if kind == "Deployment"} == {"r4-router"}
    assert len(api.writes()) == before


class Content:
    """A stream that comes in pieces."""

    def __init__(self, data, cuts):
        marks = sorted({min(one, len(data)) for one in cuts} | {0, len(data)})
        self.pieces = [data[start:end] for start, end in itertools.pairwise(marks)]

    async def iter_any(self):
        for one in self.pieces:
            yield one


@given(texts=st.lists(st.text(), max_size=5), cuts=st.lists(st.integers(0, 200)))
async def test_events_are_whole_wherever_the_stream_is_cut(texts, cuts):
    data = b"".join(json.dumps({"type": "ADDED", "object": text}).encode() + b"\n" for text in texts)
    found = [cluster._event(line)["object"] async for line in cluster._lines(Content(data, cuts))]
    assert found == texts


@pytest.mark.parametrize("line", [b"", b"<html>", b"{}", b"[]"])
def test_what_is_no_event_breaks_the_watch_and_nothing_else(line):
    with pytest.raises(Unavailable):
        cluster._event(line)


@pytest.mark.parametrize(("code", "error"), [(410, Gone), (500, Unavailable), (None, Unavailable)])
def test_an_error_in_a_stream_is_what_it_says(code, error):
    with pytest.raises(error):
        cluster._event(json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": code}}).encode())
