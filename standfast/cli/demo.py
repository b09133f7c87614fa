"""`standfast demo`: a whole cluster on this machine, a load, and one failure after the other."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import click
import msgspec
from rich.live import Live

from standfast.cli.examples import example
from standfast.cli.live import view
from standfast.cli.screen import console
from standfast.drill.acts import BY_NAME, DEMO, Act
from standfast.drill.audit import Verdict
from standfast.drill.director import Director
from standfast.drill.report import html_report
from standfast.drill.result import DrillResult
from standfast.drill.table import result_table
from standfast.errors import PromiseBroken
from standfast.lab.lab import Lab
from standfast.lab.plan import plan
from standfast.member.control_protocol import StatusReport

REFRESH_S = 0.25


@click.command(
    short_help="A cluster on this machine through one failure after the other.",
    epilog=example("standfast demo", "standfast demo --report demo.html --keep ./demo"),
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default=Path("demo-report.html"),
    show_default=True,
    help="Where to write the report.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result as JSON, too.")
@click.option("--profile", default="fast", show_default=True, help="Timers.")
@click.option("--act", "names", type=click.Choice(tuple(BY_NAME)), multiple=True, help="Only these, in this order.")
@click.option("--keep", type=click.Path(path_type=Path), help="Directory for the cluster; kept at the end.")
def demo(*, report: Path, json_file: Path | None, profile: str, names: tuple[str, ...], keep: Path | None) -> None:
    """Let one thing after the other fail on a cluster of three members on this machine.

    Two data members and a witness keep a real NATS JetStream queue manager running, loaded through one endpoint. Needs
    no root; takes less than two minutes. Ends with a table and a report with a plot; with exit code 11 when a promise
    was broken.
    """
    acts = [BY_NAME[name] for name in names or DEMO]
    result = asyncio.run(_demo(acts, profile, keep))
    report.write_text(html_report(result), encoding="utf-8")
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    screen = console()
    screen.print(result_table(result))
    for breach in result.breaches:
        screen.print(f"[bold red]broken:[/] {breach}", highlight=False)
    screen.print(f"Report with the timeline: {report.absolute()}", highlight=False, soft_wrap=True)
    if result.verdict not in (Verdict.KEPT, Verdict.NO_PROMISE):
        raise PromiseBroken(f"The demonstration did not show what it should: {result.verdict}. See the report.")


async def _demo(acts: list[Act], profile: str, keep: Path | None) -> DrillResult:
    with contextlib.ExitStack() as stack:
        directory = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="standfast-demo-")))
        plan(directory, name="demo", profile=profile)
        lab = Lab(directory)
        stack.callback(lab.kill)
        lab.up()
        screen = console()
        with screen.status("Starting three members, each with its etcd ..."):
            await lab.until_whole()
            await lab.until_running(lab.cluster.queue_managers[0].name)
        director = Director(lab)
        with Live(console=screen, auto_refresh=False, transient=True) as live:
            showing = asyncio.create_task(_show(live, director, len(acts)))
            try:
                return await director.play(acts)
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)


async def _show(live: Live, director: Director, acts: int) -> None:
    """Keep the picture new; on a terminal it replaces itself, elsewhere each act is one line."""
    told = None
    played = 0
    while True:
        if director.act is not told:
            played += director.act is not None
            told = director.act
            if told and not live.console.is_terminal:
                live.console.print(f"{played}/{acts} {told.title}")
        if live.console.is_terminal:
            step = f"{played}/{acts} {told.title}" if told else "steady load"
            live.update(view(director, "standfast demo", step, await _any_report(director)), refresh=True)
        await asyncio.sleep(REFRESH_S)


async def _any_report(director: Director) -> StatusReport | None:
    """The status as a witness sees it, or whoever answers."""
    nodes = director.stage.lab.nodes
    witness = director.stage.witness()
    for name in (witness, *director.stage.others(witness)):
        if nodes[name].pid is not None and (report := await nodes[name].knows()):
            return report
    return None
