"""`standfast events`: the cluster's event log."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator
from typing import Any

import click
import msgspec

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import console, hanging, json_line, moment, show
from standfast.cli.verdict import LEVEL_OF
from standfast.cli.words import MS_PER_S, STYLES, plain
from standfast.member.control_protocol import EventLine, Events
from standfast.model.events import CATALOGUE, EventKind, Severity

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_UNWRAPPED = 100_000
"""In a pipe an event is one line, for grep."""
_SEVERITY_WIDTH = max(map(len, Severity))


class Since(click.ParamType[tuple[int, int]]):
    """A revision of the store, such as 1423, or an age, such as 90s, 15m, 2h, 7d; gives (revision, unix ms)."""

    name = "revision|age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read it."""
        found = re.fullmatch(r"(\d+)([smhd]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is neither a revision (1423) nor an age (90s, 15m, 2h, 7d).", param, ctx)
        number = int(found[1])
        if not found[2]:
            return number, 0
        return 0, int((time.time() - number * _UNITS_S[found[2]]) * MS_PER_S)


@click.command(
    short_help="The event log; --follow shows events as they come.",
    epilog=example(
        "standfast events --since 2h", "standfast events --follow --json | jq 'select(.severity == \"critical\")'"
    ),
)
@asking
@click.option("--follow", "-f", is_flag=True, help="Go on with each event as it comes, until Ctrl-C.")
@click.option(
    "--since", type=Since(), default="0", metavar="REVISION|AGE", help="Only later ones: 1423, 90s, 15m, 2h, 7d."
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object a line.")
def events(asked: Asked, since: tuple[int, int], *, follow: bool, json_: bool) -> None:
    """The event log, oldest first: what changed, and what to do about it."""
    asyncio.run(_print(asked, since, follow=follow, json_=json_))


async def _print(asked: Asked, since: tuple[int, int], *, follow: bool, json_: bool) -> None:
    async with contextlib.aclosing(read_events(asked, *since, follow=follow)) as lines:
        async for line in lines:
            if json_:
                json_line({"severity": severity(line.kind), **_bare(line)})
            else:
                _show(line)


async def read_events(
    asked: Asked, revision: int, from_unix_ms: int, *, follow: bool = False
) -> AsyncGenerator[EventLine, None]:
    """Events after that revision and that time, oldest first."""
    request = Events(since=revision, follow=follow)
    async with asked.client() as member, contextlib.aclosing(member.events(request)) as lines:
        async for line in lines:
            if line.at_unix_ms >= from_unix_ms:
                yield line


def severity(kind: str) -> Severity:
    """Of an event; a kind that a newer member tells of counts as a warning: somebody should look."""
    return CATALOGUE[EventKind(kind)].severity if kind in set(EventKind) else Severity.WARNING


def _bare(line: EventLine) -> dict[str, Any]:
    """The line without the tag of the wire."""
    found = msgspec.to_builtins(line)
    assert isinstance(found, dict)
    del found["is"]
    return found


def _show(line: EventLine) -> None:
    """Time, severity, subject, kind and details; then what it means and what to do, unless it is mere information."""
    grade = severity(line.kind)
    details = "  ".join(f"{name}={value}" for name, value in line.fields.items() if value is not None)
    told = f"{grade:{_SEVERITY_WIDTH}}  {line.subject}  {plain(line.kind)}  {details}".rstrip()
    if grade is not Severity.INFO and line.kind in set(EventKind):
        entry = CATALOGUE[EventKind(line.kind)]
        told += f"  {entry.meaning} {entry.action}"
    out = console()
    lines = hanging(moment(line.at_unix_ms), told, out.width if out.is_terminal else _UNWRAPPED)
    start = lines[0].plain.index(grade)
    lines[0].stylize(STYLES[LEVEL_OF[grade]], start, start + len(grade))
    show(*lines)
