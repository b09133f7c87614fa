"""`standfast history`: takeovers and restarts, made from the event log."""

import asyncio
import contextlib
from collections.abc import Iterable

import click
from msgspec import Struct, structs

from standfast.cli.asking import Asked, asking
from standfast.cli.events import Since, read_events
from standfast.cli.examples import example
from standfast.cli.screen import Cell, Column, as_json, console, moment, show, styled, table
from standfast.cli.words import Level, duration, plain
from standfast.member.control_protocol import EventLine
from standfast.model.events import EventKind

DEFAULT_LAST = 20
AFTER_MS = 2_000
"""An eviction longer ago than this did not lead to the takeover."""
_RESTART = "restarted in place"

_COLUMNS = (
    Column("WHEN"),
    Column("QUEUE MANAGER"),
    Column("FROM"),
    Column("TO"),
    Column("EPOCH", right=True),
    Column("RAN AFTER", right=True),
    Column("WHY", note=True),
)


class Takeover(Struct, frozen=True):
    """One start of a queue manager by an owner.

    Attributes:
        at_unix_ms: when it was assigned or, of a restart, when it failed; wall-clock of the member that wrote it.
        qm: the queue manager.
        was: the owner before; None for none.
        owner: the owner.
        epoch: under which it runs.
        why: why it was assigned.
        took_ms: from the owner's start of it until it answered, on the owner's own clock; None when it never did.
        noticed_ms: from the last doubt about the owner before until it was assigned, by the clocks of whoever told;
            None where no eviction led to it.
    """

    at_unix_ms: int
    qm: str
    was: str | None
    owner: str
    epoch: int
    why: str
    took_ms: float | None = None
    noticed_ms: int | None = None


@click.command(
    short_help="Takeovers and restarts: when, from, to, why, how long.",
    epilog=example("standfast history --queue-manager orders --since 7d"),
)
@asking
@click.option("--queue-manager", "-q", "qm", default="", help="Only this one.")
@click.option(
    "--last", type=click.IntRange(min=1), default=DEFAULT_LAST, show_default=True, help="How many, from the newest."
)
@click.option(
    "--since", type=Since(), default="0", metavar="REVISION|AGE", help="Only later ones: 1423, 90s, 15m, 2h, 7d."
)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def history(asked: Asked, qm: str, last: int, since: tuple[int, int], *, json_: bool) -> None:
    """Takeovers and restarts: when, from where to where, why, and after how long it ran.

    RAN AFTER counts from the owner's start of the queue manager until it answered; the time to notice that the last
    owner was gone comes before it.
    """
    lines = asyncio.run(_read(asked, since))
    found = [takeover for takeover in takeovers(lines) if qm in {"", takeover.qm}][-last:]
    if json_:
        as_json(found)
    elif found:
        show(*table(_COLUMNS, map(_row, found), console().width))
    else:
        show("No takeover in that time.")


async def _read(asked: Asked, since: tuple[int, int]) -> list[EventLine]:
    async with contextlib.aclosing(read_events(asked, *since)) as lines:
        return [line async for line in lines]


def takeovers(lines: Iterable[EventLine]) -> list[Takeover]:
    """From events, oldest first. A start that failed and was tried again in place is a line of its own."""
    found: list[Takeover] = []
    open_at: dict[str, int] = {}
    owners: dict[str, str] = {}
    doubts = _Doubts()
    for line in lines:
        doubts.heed(line)
        qm, fields = line.subject, line.fields
        owner, epoch = str(fields.get("owner") or "?"), int(fields.get("epoch") or 0)
        if line.kind == EventKind.QM_ASSIGNED:
            was = str(fields.get("was") or "") or owners.get(qm)
            why = str(fields.get("reason") or "")
            open_at[qm] = len(found)
            noticed_ms = doubts.until(line.at_unix_ms, was) if was != owner else None
            found.append(Takeover(line.at_unix_ms, qm, was, owner, epoch, why, noticed_ms=noticed_ms))
            owners[qm] = owner
        elif line.kind == EventKind.QM_FAILED:
            why = f"{_RESTART}: {fields.get('code') or ''}"
            open_at[qm] = len(found)
            found.append(Takeover(line.at_unix_ms, qm, owner, owner, epoch, why))
        elif line.kind == EventKind.QM_RUNNING and qm in open_at and found[open_at[qm]].epoch == epoch:
            at = open_at.pop(qm)
            took_ms = float(fields.get("claim_ms") or 0) + float(fields.get("start_ms") or 0)
            found[at] = structs.replace(found[at], took_ms=took_ms)
    return found


class _Doubts:
    """When members fell into doubt, and which of them were evicted then."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._evicted: dict[str, tuple[int, int]] = {}

    def heed(self, line: EventLine) -> None:
        """One event, whatever it is."""
        if line.kind in {EventKind.MEMBER_IN_DOUBT, EventKind.MEMBER_TOLD_TO_GO}:
            self._since[line.subject] = line.at_unix_ms
        elif line.kind == EventKind.MEMBER_EVICTED and line.subject in self._since:
            self._evicted[line.subject] = (self._since[line.subject], line.at_unix_ms)

    def until(self, at_unix_ms: int, member: str | None) -> int | None:
        """From the doubt about a member to that time; None when its eviction is not what led to it."""
        since, evicted = self._evicted.get(member or "", (0, 0))
        return at_unix_ms - since if 0 <= at_unix_ms - evicted <= AFTER_MS else None


def _row(takeover: Takeover) -> list[Cell]:
    never = styled("never ran", Level.PROBLEM)
    return [
        moment(takeover.at_unix_ms),
        takeover.qm,
        takeover.was or "-",
        takeover.owner,
        str(takeover.epoch),
        never if takeover.took_ms is None else duration(takeover.took_ms),
        plain(takeover.why),
    ]
