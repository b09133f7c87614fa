"""What an OCF resource agent says of itself, and what its exit codes mean (OCF resource agent API 1.1).

The description is asked for by `examine`, in a disposable child, and kept for as long as the agent's file is the same.
"""

import os
from pathlib import Path
from xml.etree import ElementTree as ET

from msgspec import Struct

from standfast.errors import MachineError
from standfast.managers.asking import ask
from standfast.managers.programs import number_of_seconds

CODES: dict[int, str] = {
    0: "success",
    1: "failed",
    2: "wrong parameters",
    3: "action not offered",
    4: "not permitted",
    5: "its software is not installed here",
    6: "not configured here",
    7: "not running",
    8: "running, promoted",
    9: "promoted and failed",
    190: "running, degraded",
    191: "running, promoted and degraded",
}
"""Exit codes of an agent's actions."""
STARTED = (0,)
SERVES = (0, 8, 190, 191)
STOPPED = (7,)
_ACTIONS = ("start", "stop", "monitor")


class Parameter(Struct, frozen=True):
    """One parameter of an agent."""

    name: str
    required: bool


class Description(Struct, frozen=True):
    """An agent's meta-data.

    Attributes:
        version: of the agent.
        parameters: that it understands.
        timeouts_s: what it advises for start, stop and monitor, in seconds, as far as it does.
        interval_s: what it advises for the pause between two monitors, in seconds; 0: nothing.
    """

    version: str
    parameters: tuple[Parameter, ...]
    timeouts_s: dict[str, float]
    interval_s: float = 0.0


_known: dict[tuple[str, int], Description] = {}


def known(agent: Path) -> Description | None:
    """The description of an agent that was asked since its file changed; looks at the file only."""
    try:
        return _known.get((str(agent), agent.stat().st_mtime_ns))
    except OSError:
        return None


async def described(agent: Path, root: str) -> Description:
    """The description of an agent; asks it the first time. Raises MachineError when it gives none."""
    found = known(agent)
    if found is None:
        answer = await ask(str(agent), "meta-data", env={"OCF_ROOT": root, "OCF_RESOURCE_TYPE": agent.name})
        if answer.code != 0:
            raise MachineError(f"The agent {agent} gives no meta-data ({answer.code}): {answer.output}")
        found = _remember(agent, parsed(answer.output, agent))
    return found


def _remember(agent: Path, description: Description) -> Description:
    return _known.setdefault((str(agent), agent.stat().st_mtime_ns), description)


def parsed(text: str, agent: Path) -> Description:
    """From the XML that an agent prints; raises MachineError when it is none."""
    try:
        top = ET.fromstring(text[max(text.find("<?xml"), 0) :].strip())  # noqa: S314 - as above
    except ET.ParseError as error:
        raise MachineError(f"The meta-data of {agent} can not be read: {error}.") from error
    actions = {one.get("name", ""): one for one in reversed(top.findall("actions/action"))}
    return Description(
        version=top.findtext("version") or top.get("version") or "unknown",
        parameters=tuple(
            Parameter(one.get("name", ""), required=one.get("required") in ("1", "true"))
            for one in top.findall("parameters/parameter")
        ),
        timeouts_s={
            name: number_of_seconds(actions[name].get("timeout", ""))
            for name in _ACTIONS
            if name in actions and actions[name].get("timeout")
        },
        interval_s=number_of_seconds(actions["monitor"].get("interval", "")) if "monitor" in actions else 0.0,
    )


def agents_below(root: str) -> list[str]:
    """All agents there are, as `provider:name`; for hints."""
    return sorted(
        f"{path.parent.name}:{path.name}"
        for path in Path(root, "resource.d").glob("*/*")
        if path.is_file() and os.access(path, os.X_OK)
    )
