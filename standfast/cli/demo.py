"""`standfast demo`: a whole cluster on this machine, a load, and one failure after the other."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import click

from standfast.cli.drill import report_result
from standfast.cli.examples import example
from standfast.cli.live import playing
from standfast.cli.screen import console
from standfast.drill.acts import BY_NAME, DEMO, Act
from standfast.drill.on_lab import on_lab
from standfast.drill.result import DrillResult
from standfast.lab.lab import Lab
from standfast.lab.plan import plan


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
    report_result(asyncio.run(_demo(acts, profile, keep)), report, json_file)


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
        return await playing(on_lab(lab), acts, "standfast demo")
