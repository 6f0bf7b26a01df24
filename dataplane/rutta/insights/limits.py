"""What the schema of Application Insights takes at most, and how what is longer is cut.

https://github.com/microsoft/ApplicationInsights-Home/tree/master/EndpointSpecs/Schemas and
https://learn.microsoft.com/azure/azure-monitor/service-limits#application-insights (64 KB for an item). A cut is noted
in the item: the property ``rutta.cut`` names what was.
"""

from collections.abc import Mapping
from typing import Any, Final

from rutta.events.flat import shown

KEY: Final = 150
VALUE: Final = 8192
MESSAGE: Final = 32768
NAME: Final = 1024
EVENT_NAME: Final = 512
URL: Final = 2048
DATA: Final = 8192
ID: Final = 128
ITEM: Final = 65536  # bytes
FRAMES: Final = 100  # not the schema's: deeper stacks make no better item of 64 KB
TAGS: Final[Mapping[str, int]] = {
    "ai.application.ver": 1024, "ai.cloud.role": 256, "ai.cloud.roleInstance": 256, "ai.location.ip": 46,
    "ai.operation.id": 128, "ai.operation.parentId": 128, "ai.user.id": 128,
}  # fmt: skip
NOTE: Final = "rutta.cut"

_SMALL_VALUE: Final = 1024  # of an item that is too large as a whole
_SMALL_MESSAGE: Final = 8192


class Cuts:
    """Cuts texts and remembers what was cut."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.names: list[str] = []

    def text(self, name: str, value: str, most: int) -> str:
        """Return at most so many characters of a text."""
        if len(value) <= most:
            return value
        self.names.append(name)
        return value[: most - 1] + "…"

    def properties(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Write named values as texts, keys and texts cut; null is left out.

        A key that is empty is a line, one that is taken after the cut is counted on.
        """
        found: dict[str, str] = {}
        for key, value in values.items():
            if value is None:
                continue
            text = value if type(value) is str else shown(value)
            name = key or "_"
            if len(name) > KEY or name in found:
                name = self._free(found, name)
            found[name] = text if len(text) <= VALUE else self.text(name, text, VALUE)
        return found

    def _free(self, taken: Mapping[str, str], key: str) -> str:
        name = self.text(key[:20], key, KEY)
        number = 1
        while name in taken:
            number += 1
            name = f"{key[: KEY - 8]}~{number}"
        return name

    def note(self, properties: dict[str, str]) -> None:
        """Say in the properties what was cut, if anything."""
        if self.names:
            properties[NOTE] = ", ".join(self.names)[:VALUE]


def shrink(item: dict[str, Any]) -> None:
    """Cut the texts of an item that is too large as a whole much shorter."""
    data, cuts = item["data"]["baseData"], Cuts()
    properties = data["properties"]
    for key, value in properties.items():
        properties[key] = cuts.text(key, value, _SMALL_VALUE)
    for part in (data, *data.get("exceptions", ())):
        if "message" in part:
            part["message"] = cuts.text("message", part["message"], _SMALL_MESSAGE)
        if "parsedStack" in part:
            part["parsedStack"], part["hasFullStack"] = part["parsedStack"][:10], False
            cuts.names.append("stack")
    if "data" in data:
        data["data"] = cuts.text("data", data["data"], _SMALL_VALUE)
    before = [properties[NOTE]] if NOTE in properties else []
    properties[NOTE] = ", ".join([*before, *cuts.names])[:VALUE]
