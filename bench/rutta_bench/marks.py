"""Where in a document a table stands: between two marks, comments that name the place."""

import argparse
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A place in a document that has its marks."""

    document: Path
    name: str

    def put(self, table: str) -> None:
        """Put a table there, instead of what stands between the marks."""
        begin, end = _marks(self.name)
        before, rest = self.document.read_text("utf-8").split(begin, 1)
        self.document.write_text(f"{before}{begin}\n{table}{end}{rest.split(end, 1)[1]}", "utf-8")


def place(text: str, name: str) -> Place:
    """Read ``FILE`` or ``FILE#NAME``; ``name`` is the place where none is named. Raises ArgumentTypeError."""
    file, _, named = text.partition("#")
    found = Place(Path(file), named or name)
    begin, end = _marks(found.name)
    content = found.document.read_text("utf-8") if found.document.is_file() else ""
    if not 0 <= content.find(begin) < content.find(end):
        raise argparse.ArgumentTypeError(f"{file} is no document with the lines {begin} and {end}")
    return found


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
