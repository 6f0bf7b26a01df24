"""What Loki says of entries that it did not take, and which those are.

Loki takes the good entries of a request and names the others, in one of two forms (pkg/validation/validate.go and
pkg/ingester/stream.go of Loki 3.7):

    2 errors like: entry for stream '{a="b"}' has timestamp too old: T, oldest acceptable timestamp is: T; …
    entry with timestamp T ignored, reason: 'entry too far behind, …',
    user 'u', total ignored: 2 out of 9 for stream: {a="b"}

The first counts them by kind; the second counts all, and names the first ten. An entry that is too old is one of the
oldest, and so on: with the count, these words are enough to know them.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from rutta.loki.requests import Entry

Numbers = list[int]


class Ignored(NamedTuple):
    """Entries, by their places in the request, and why they were not taken; ``again``: they may be another time."""

    places: Numbers
    reason: str
    again: bool = False


def read(text: str, entries: Sequence[Entry]) -> list[Ignored] | None:
    """Tell which entries of a request were not taken; None if the answer is not about single entries."""
    total = _TOTAL.search(text)
    return _counted(text, total, entries) if total else _grouped(text, entries)


# --- of an ingester ---------------------------------------------------------------------------------------------

_TOTAL: Final = re.compile(r"total ignored: (\d+) out of (\d+)(?: for stream: (\{.*\}))?")
_NAMED: Final = re.compile(
    r"entry with timestamp (\S+ \S+) \S+ \S+ ignored, reason: '(.*?)'(?: for stream: .*?)?,\n", re.S
)
_LIMITED: Final = "Per stream rate limit exceeded"
_ACCEPTABLE: Final = re.compile(r"oldest acceptable timestamp is: (\S+)")
_NEVER: Final = -(2**63)
_UNSAID: Final = "Loki ignored some and does not say which; equal entries are one to it"
_SHARD: Final = re.compile(r'(, )?__(stream|time)_shard__="[^"]*"(, )?')


def _counted(text: str, total: re.Match[str], entries: Sequence[Entry]) -> list[Ignored]:
    """Those that came too late are the oldest; those that came too fast are named, or any."""
    count = int(total[1])
    places = _of_stream(total[3], entries)
    named = _NAMED.findall(text)
    if int(total[2]) < len(places) and not (total[3] and "_shard__=" in total[3]):
        return _in_doubt(places, named, entries)
    limited = {_nanoseconds(time) for time, reason in named if reason.startswith(_LIMITED)}
    late = {_nanoseconds(time): reason for time, reason in named if not reason.startswith(_LIMITED)}
    if not late:
        fast = [place for place in places if entries[place].time in limited]
        return [Ignored(fast if len(named) == count else places, _words(text, named), again=True)]
    fast = [place for place in places if entries[place].time in limited]
    oldest = sorted(set(places).difference(fast), key=lambda place: entries[place].time)
    left = max(0, count - len(fast))
    found = [Ignored(oldest[:left], next(iter(late.values())))]
    return [*found, Ignored(fast, _LIMITED, again=True)] if fast else found


def _in_doubt(places: Numbers, named: Sequence[tuple[str, str]], entries: Sequence[Entry]) -> list[Ignored]:
    """The ingester saw fewer than were sent: of those that the distributor kept back the answer says nothing.

    What came too late is known all the same, by its time. The others are sent again, for the next answer to tell.
    """
    late = [(time, reason) for time, reason in named if not reason.startswith(_LIMITED)]
    acceptable = [match[1] for _, reason in late if (match := _ACCEPTABLE.search(reason))]
    oldest = [_seconds(time) * 10**9 for time in acceptable]
    times, before = {_nanoseconds(time) for time, _ in late}, min(oldest, default=_NEVER)
    gone = [place for place in places if entries[place].time in times or entries[place].time < before]
    left = sorted(set(places).difference(gone))
    found = [Ignored(gone, late[0][1])] if gone else []
    return [*found, Ignored(left, _UNSAID, again=True)] if left else found


def _words(text: str, named: Sequence[tuple[str, str]]) -> str:
    return named[0][1] if named else " ".join(text.split())


def _of_stream(name: str | None, entries: Sequence[Entry]) -> Numbers:
    """Find the entries of a stream that Loki names, perhaps as one of its shards; all if that is none of ours."""
    wanted = _SHARD.sub(lambda found: ", " if found[1] and found[3] else "", name) if name else ""
    found = [place for place, entry in enumerate(entries) if entry.stream.text == wanted]
    return found or list(range(len(entries)))


def _nanoseconds(text: str) -> int:
    """Read a time as Go writes it: ``2026-01-02 03:04:05.123456789``, zeros at the end left out."""
    whole, _, fraction = text.partition(".")
    return _seconds(whole + "+00:00") * 10**9 + int(fraction.ljust(9, "0") or 0)


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


# --- of a distributor -------------------------------------------------------------------------------------------

_Pick = Callable[[re.Match[str], Numbers, Sequence[Entry]], Numbers]


def _in_second(found: re.Match[str], places: Numbers, entries: Sequence[Entry]) -> Numbers:
    second = _seconds(found["time"])
    return sorted((one for one in places if entries[one].time // 10**9 == second), key=lambda one: entries[one].time)


def _in_second_latest(found: re.Match[str], places: Numbers, entries: Sequence[Entry]) -> Numbers:
    return _in_second(found, places, entries)[::-1]


def _of_length(found: re.Match[str], places: Numbers, entries: Sequence[Entry]) -> Numbers:
    return [one for one in places if len(entries[one].line) == int(found["size"])]


def _of_metadata(found: re.Match[str], places: Numbers, entries: Sequence[Entry]) -> Numbers:
    return [one for one in places if metadata_size(entries[one]) > int(found["limit"])]


def _of_pairs(found: re.Match[str], places: Numbers, entries: Sequence[Entry]) -> Numbers:
    return [one for one in places if len(entries[one].metadata) == int(found["size"])]


def metadata_size(entry: Entry) -> int:
    """Count the bytes of names and values."""
    return sum(len(name) + len(value.encode(errors="replace")) for name, value in entry.metadata)


def _whole(found: re.Match[str], places: Numbers, entries: Sequence[Entry]) -> Numbers:
    return places


_COUNT: Final = r"(?:(?P<count>\d+) errors like: )?"
_KINDS: Final[Sequence[tuple[re.Pattern[str], _Pick]]] = [
    (re.compile(_COUNT + pattern, re.S), pick)
    for pattern, pick in (
        (
            r"entry for stream '(?P<stream>.*?)' has timestamp too old: (?P<time>\S+),"
            r" oldest acceptable timestamp is: [^\s;]+",
            _in_second,
        ),
        (r"entry for stream '(?P<stream>.*?)' has timestamp too new: (?P<time>[^\s;]+)", _in_second_latest),
        (
            r"max entry size '\d+' bytes exceeded for stream '(?P<stream>.*?)'"
            r" while adding an entry with length '(?P<size>\d+)' bytes",
            _of_length,
        ),
        (
            r"stream '(?P<stream>.*?)' has structured metadata too large: '\d+' bytes, limit: '(?P<limit>\d+)' bytes"
            r"(\. Please see `[^`]*` or contact your Loki administrator to increase it)?",
            _of_metadata,
        ),
        (
            r"stream '(?P<stream>.*?)' has too many structured metadata labels: '(?P<size>\d+)', limit: '\d+'"
            r"(\. Please see `[^`]*` or contact your Loki administrator to increase it)?",
            _of_pairs,
        ),
        (
            r"stream '(?P<stream>.*?)' has (label (name|value) too long|duplicate label name): "
            r"'.*?'(?=; \d+ errors|\s*$)",
            _whole,
        ),
        (r"entry for stream '(?P<stream>.*?)' has \d+ label names; limit \d+", _whole),
        (r"missing required labels '[^']*' for user '[^']*' for stream '(?P<stream>.*?)' \(policy: '[^']*'\)", _whole),
    )
]
_SEPARATORS: Final = re.compile(_COUNT + r"(; )?")


def _grouped(text: str, entries: Sequence[Entry]) -> list[Ignored] | None:
    """Read every kind of error; what is left over is of a kind that is not known here."""
    found: list[Ignored] = []
    taken: set[int] = set()
    for pattern, pick in _KINDS:
        for match in pattern.finditer(text):
            places = [one for one in pick(match, _of_stream(match["stream"], entries), entries) if one not in taken]
            count = len(places) if pick is _whole else int(match["count"] or 1)
            found.append(Ignored(places[:count], match[0].removeprefix(f"{match['count']} errors like: ")))
            taken.update(places[:count])
        text = pattern.sub("", text)
    if not found:
        return None
    for count, words in _rest(text):
        last = [one for one in reversed(range(len(entries))) if one not in taken][:count]
        found.append(Ignored(last, f"{words} (it does not say which)"))
        taken.update(last)
    return found


def _rest(text: str) -> list[tuple[int, str]]:
    """Take apart what no pattern knows: how many, and Loki's words."""
    found = []
    for one in text.split("; "):
        match = re.match(_COUNT, one)
        words = one[match.end() :].strip() if match else ""
        if words:
            found.append((int((match and match["count"]) or 1), words))
    return found
