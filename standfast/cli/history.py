"""`standfast history`: takeovers and restarts, made from the event log."""

import asyncio
import contextlib

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.events import Since, read_events
from standfast.cli.examples import example
from standfast.cli.screen import Cell, Column, as_json, console, moment, show, styled, table
from standfast.cli.words import Level, duration, plain
from standfast.member.control_protocol import EventLine
from standfast.member.turns import Takeover, takeovers

DEFAULT_LAST = 20

_COLUMNS = (
    Column("WHEN"),
    Column("QUEUE MANAGER"),
    Column("FROM"),
    Column("TO"),
    Column("EPOCH", right=True),
    Column("RAN AFTER", right=True),
    Column("WHY", note=True),
)


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


def _row(takeover: Takeover) -> list[Cell]:
    never = styled("never ran", Level.PROBLEM)
    return [
        moment(takeover.at_unix_ms),
        takeover.qm,
        takeover.was or "-",
        takeover.owner,
        str(takeover.epoch),
        never if takeover.took_ms is None else duration(takeover.took_ms),
        plain(takeover.why) + (f", by {takeover.by}" if takeover.by else ""),
    ]
