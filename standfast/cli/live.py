"""What a drill looks like while it runs: the act, the message rate, the cluster, its newest events."""

import asyncio
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from standfast.cli.screen import console, moment
from standfast.cli.status import screen
from standfast.drill.acts import Act
from standfast.drill.director import Director
from standfast.drill.record import Tick
from standfast.drill.result import DrillResult
from standfast.errors import Unreachable
from standfast.member.control_protocol import EventLine
from standfast.member.report import StatusReport

COLUMNS = 96
EVENTS = 8
REFRESH_S = 0.25
_BARS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int], width: int) -> Text:
    """The newest values as bars, scaled to the largest; none at all is a red dot."""
    shown = values[-width:]
    largest = max([*shown, 1])
    line = Text()
    for value in shown:
        level = -(-value * (len(_BARS) - 1) // largest)
        line.append(_BARS[level] if value else "·", "green" if value else "bold red")
    return line


def view(director: Director, title: str, step: str, report: StatusReport | None) -> RenderableType:
    """The whole picture."""
    parts: list[RenderableType] = [_load(director.ticks), Text()]
    if report is not None:
        parts += screen(report, COLUMNS)[:12]
    else:
        parts.append(Text("No member answers at this moment.", "bold yellow"))
    parts += [Text(), *(_event(line) for line in list(director.chronicle.recent)[-EVENTS:])]
    return Panel(Group(*parts), title=title, subtitle=step, width=COLUMNS + 4, title_align="left")


def _load(ticks: Sequence[Tick]) -> Text:
    newest = ticks[-10:]
    rate = sum(tick.acked for tick in newest)
    waiting = newest[-1].waiting if newest else 0
    line = Text.assemble(("acknowledged a second ", "dim"), f"{rate:5d} ", (f" waiting {waiting:4d}  ", "dim"))
    return line.append(sparkline([tick.acked for tick in ticks], 44))


def _event(line: EventLine) -> Text:
    details = " ".join(f"{name}={_short(value)}" for name, value in line.fields.items() if value not in (None, ""))
    text = Text.assemble(
        (moment(line.at_unix_ms)[11:], "dim"), f"  {line.kind:18} ", (line.subject, "bold"), f"  {details}"
    )
    text.truncate(COLUMNS, overflow="ellipsis")
    return text


def _short(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


async def playing(director: Director, acts: Sequence[Act], title: str) -> DrillResult:
    """Play acts and show them: on a terminal a picture that renews itself, elsewhere a line for each act."""
    screen = console()
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        showing = asyncio.create_task(_show(live, director, title, len(acts)))
        try:
            return await director.play(acts)
        finally:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


async def _show(live: Live, director: Director, title: str, acts: int) -> None:
    told = 0
    while True:
        if live.console.is_terminal:
            act = director.act
            step = f"{len(director.begun)}/{acts} {act.title}" if act else "steady load"
            live.update(view(director, title, step, await _report(director)), refresh=True)
        else:
            for act in director.begun[told:]:
                told += 1
                live.console.print(f"{told}/{acts} {act.title}")
        await asyncio.sleep(REFRESH_S)


async def _report(director: Director) -> StatusReport | None:
    """The status as the witness sees it, or whoever answers."""
    try:
        return await director.stage.reach.report(first=[director.stage.witness()])
    except Unreachable:
        return None
