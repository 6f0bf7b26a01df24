"""The frames of server-sent events, and what of them is kept."""

import pytest

from rutta.net.event_stream import CHUNK, History


def parsed(data):
    """Ids and data, as https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation."""
    found = []
    for frame in data.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        assert fields["event"] == "Logary.Message"
        found.append((fields["id"], fields["data"]))
    return found


def whole(history):
    return parsed(b"".join(history.chunk(number) for number in range(history.start, history.end)))


def rest(history, last_id):
    number, data = history.after(last_id)
    return [text for _, text in parsed(data + b"".join(map(history.chunk, range(number, history.end))))]


def test_each_event_is_a_frame_with_an_id_that_counts_on():
    history = History(10**6)
    history.add([b'{"a":1}', b'{"a":2}'])
    history.add([b'{"a":\r3}'])
    history.add([])
    ids, data = zip(*whole(history), strict=True)
    assert data == ('{"a":1}', '{"a":2}', '{"a": 3}')
    assert [one.partition("-")[2] for one in ids] == ["1", "2", "3"]
    assert len({one.partition("-")[0] for one in ids}) == 1


@pytest.mark.parametrize("split", [(10,), (3, 7), (1,) * 10])
def test_who_comes_back_gets_what_came_after_its_last(split):
    history, lines = History(10**6), [f"{number}".encode() for number in range(10)]
    at = 0
    for count in split:
        history.add(lines[at : at + count])
        at += count
    ids = [one for one, _ in whole(history)]
    for number, last_id in enumerate(ids):
        assert rest(history, last_id) == [f"{later}" for later in range(number + 1, 10)]


def test_an_id_of_another_process_or_of_nobody_gets_all_that_is_kept():
    history, other = History(10**6), History(10**6)
    history.add([b"1", b"2"])
    other.add([b"x"])
    ids = (whole(other)[0][0], "", "7", f"{whole(history)[0][0].partition('-')[0]}-x")
    assert [rest(history, last_id) for last_id in ids] == [["1", "2"]] * 4


def test_what_is_no_longer_kept_is_left_out_and_what_is_to_come_awaited():
    history = History(3000)
    for number in range(100):
        history.add([f"{number}".encode() * 100])
    assert 0 < history.size <= 3000
    kept = [text for _, text in whole(history)]
    assert kept[-1] == "99" * 100
    word = whole(history)[0][0].partition("-")[0]
    assert rest(history, f"{word}-1") == kept
    assert rest(history, f"{word}-100") == []
    assert rest(history, f"{word}-1000") == []


def test_large_additions_are_cut_and_the_newest_is_always_kept():
    history = History(0)
    history.add([b"x" * 1000] * 1000)
    assert history.end - history.start == 1
    assert len(history.chunk(history.start)) <= 2 * CHUNK
