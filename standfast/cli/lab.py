"""`standfast lab`: a real cluster on this machine to play with; `up`, `down`, `status`."""

import asyncio
from pathlib import Path

import click

from standfast.cli import lab_network
from standfast.cli.examples import example
from standfast.cli.screen import as_json, console, show
from standfast.cli.status import screen
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, STATE, plan
from standfast.member.report import StatusReport

WIDTH = 100

_directory = click.argument("directory", type=click.Path(path_type=Path), default=lab_network.DIRECTORY)


@click.group(short_help="A real cluster on this machine to play with.", epilog=example("standfast lab up ./lab"))
def lab() -> None:
    """Run a real cluster on this machine: on loopback addresses, or each member in a network namespace of its own.

    The latter needs root; its network can be cut.
    """


for _command in (lab_network.cut, lab_network.isolate, lab_network.heal, lab_network.exec_):
    lab.add_command(_command)


@lab.command(epilog=example("standfast lab up ./lab --profile normal --queue-manager nats"))
@_directory
@click.option("--profile", default="fast", show_default=True, help="Timers.")
@click.option("--data", type=click.IntRange(1, 9), default=2, show_default=True, help="Number of data members.")
@click.option("--witnesses", type=click.IntRange(0, 9), default=1, show_default=True, help="Number of witnesses.")
@click.option("--queue-manager", "kind", default="nats", show_default=True, help="Kind of the queue manager `orders`.")
@click.option("--port", default=4222, show_default=True, help="Port of the queue manager.")
@click.option("--namespaces", is_flag=True, help="Give each member a network namespace of its own; needs root.")
def up(*, directory: Path, profile: str, data: int, witnesses: int, kind: str, port: int, namespaces: bool) -> None:
    """Make a lab in DIRECTORY unless there is one, start every node that does not run, and wait until it is whole."""
    if not (directory / CLUSTER_FILE).exists():
        names = [chr(ord("a") + number) for number in range(data)]
        voters = ["w" if witnesses == 1 else f"w{number}" for number in range(1, witnesses + 1)]
        plan(
            directory,
            data=names,
            witnesses=voters,
            kind=kind,
            port=port,
            profile=profile,
            namespaces=namespaces,
            api=True,
        )
    found = Lab(directory)
    found.up()
    out = console()
    with out.status("Waiting until all members hear each other and the queue manager runs ..."):
        report = asyncio.run(_settled(found))
    show(*screen(report, WIDTH))
    socket = next(iter(found.nodes.values())).socket
    click.echo(f"\nAsk it: standfast status --socket {socket}\nStop it: standfast lab down {directory}")
    seer = found.cluster.members[-1]
    if seer.api_port:
        click.echo(
            f"See it: https://{seer.addresses[0]}:{seer.api_port}/ with the token of\n"
            f"        standfast token create me --operator --state-dir {found.directory / STATE / seer.name}"
        )
    if found.network:
        click.echo(f"Cut it: standfast lab cut a:b --lab {directory}\nMend it: standfast lab heal --lab {directory}")


async def _settled(found: Lab) -> StatusReport:
    await found.until_whole()
    for spec in found.cluster.queue_managers:
        await found.until_running(spec.name)
    return await found.until_whole()


@lab.command(epilog=example("standfast lab down ./lab --remove"))
@_directory
@click.option("--remove", is_flag=True, help="Delete the directory with everything in it.")
def down(directory: Path, *, remove: bool) -> None:
    """Stop all nodes of the lab in DIRECTORY cleanly, and end the network of its own if it has one."""
    found = Lab(directory)
    found.down()
    if remove:
        found.remove()


@lab.command(epilog=example("standfast lab status ./lab"))
@_directory
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def status(directory: Path, *, json_: bool) -> None:
    """Show what the first member that answers knows."""
    found = Lab(directory)
    report = asyncio.run(found.report())
    if json_:
        as_json(report)
        return
    show(*screen(report, WIDTH))
    if found.network:
        show("", lab_network.sentence(found.network))
