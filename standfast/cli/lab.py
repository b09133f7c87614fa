"""`standfast lab up|down|status`: a real cluster on this machine to play with."""

import asyncio
from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.screen import as_json, console, show
from standfast.cli.status import screen
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, plan
from standfast.member.report import StatusReport

DIRECTORY = Path("standfast-lab")
WIDTH = 100

_directory = click.argument("directory", type=click.Path(path_type=Path), default=DIRECTORY)


@click.group(short_help="A real cluster on this machine to play with.", epilog=example("standfast lab up ./lab"))
def lab() -> None:
    """Run a real cluster on loopback addresses of this machine. Needs no root."""


@lab.command(epilog=example("standfast lab up ./lab --profile normal --queue-manager nats"))
@_directory
@click.option("--profile", default="fast", show_default=True, help="Timers.")
@click.option("--data", type=click.IntRange(1, 9), default=2, show_default=True, help="Number of data members.")
@click.option("--witnesses", type=click.IntRange(0, 9), default=1, show_default=True, help="Number of witnesses.")
@click.option("--queue-manager", "kind", default="nats", show_default=True, help="Kind of the queue manager `orders`.")
@click.option("--port", default=4222, show_default=True, help="Port of the queue manager.")
def up(*, directory: Path, profile: str, data: int, witnesses: int, kind: str, port: int) -> None:
    """Make a lab in DIRECTORY unless there is one, start every node that does not run, and wait until it is whole."""
    if not (directory / CLUSTER_FILE).exists():
        names = [chr(ord("a") + number) for number in range(data)]
        voters = ["w" if witnesses == 1 else f"w{number}" for number in range(1, witnesses + 1)]
        plan(directory, data=names, witnesses=voters, kind=kind, port=port, profile=profile)
    found = Lab(directory)
    found.up()
    out = console()
    with out.status("Waiting until all members hear each other and the queue manager runs ..."):
        report = asyncio.run(_settled(found))
    show(*screen(report, WIDTH))
    socket = next(iter(found.nodes.values())).socket
    click.echo(f"\nAsk it: standfast status --socket {socket}\nStop it: standfast lab down {directory}")


async def _settled(found: Lab) -> StatusReport:
    await found.until_whole()
    for spec in found.cluster.queue_managers:
        await found.until_running(spec.name)
    return await found.until_whole()


@lab.command(epilog=example("standfast lab down ./lab --remove"))
@_directory
@click.option("--remove", is_flag=True, help="Delete the directory with everything in it.")
def down(directory: Path, *, remove: bool) -> None:
    """Stop all nodes of the lab in DIRECTORY cleanly."""
    found = Lab(directory)
    found.down()
    if remove:
        found.remove()


@lab.command(epilog=example("standfast lab status ./lab"))
@_directory
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def status(directory: Path, *, json_: bool) -> None:
    """Show what the first member that answers knows."""
    report = asyncio.run(Lab(directory).report())
    if json_:
        as_json(report)
    else:
        show(*screen(report, WIDTH))
