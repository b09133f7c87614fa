"""`standfast lab cut|isolate|heal|exec`: the network of a lab whose members live in network namespaces."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from standfast.cli import cuts
from standfast.cli.examples import example
from standfast.cli.screen import as_json, show
from standfast.errors import UsageError
from standfast.lab.lab import Lab
from standfast.lab.network import Network

DIRECTORY = Path("standfast-lab")

_lab = click.option(
    "--lab", "directory", type=click.Path(path_type=Path), default=DIRECTORY, show_default=True, help="Its directory."
)
_json = click.option("--json", "json_", is_flag=True, help="Print what is cut now as JSON.")


@click.command(
    short_help="Cut the network between members.",
    epilog=example("standfast lab cut a:b --lab ./lab", "standfast lab cut 'a>w' a:client --lab ./lab"),
)
@click.argument("cut_", metavar="A:B ...", nargs=-1, required=True)
@_lab
@_json
def cut(directory: Path, cut_: tuple[str, ...], *, json_: bool) -> None:
    """Let nothing pass between A and B; with A>B, nothing from A to B. Lists such as a,b:c too.

    Packets vanish without an error, as behind a broken router, until `standfast lab heal`. `client` is the machine on
    which clients run.
    """
    network = of(directory)
    network.cut(cuts.pairs(cut_, [*network.addresses]))
    _told(network, json_)


@click.command(
    short_help="Cut members off from everybody.",
    epilog=example("standfast lab isolate a --lab ./lab", "standfast lab isolate a --but-clients --lab ./lab"),
)
@click.argument("members", metavar="MEMBER ...", nargs=-1, required=True)
@click.option("--but-clients", is_flag=True, help="Let clients through.")
@_lab
@_json
def isolate(directory: Path, members: tuple[str, ...], *, but_clients: bool, json_: bool) -> None:
    """Let nothing pass to and from each MEMBER: its cable is pulled, its processes run on."""
    network = of(directory)
    for name in cuts.known(members, [*network.addresses]):
        network.cut(network.around(name, clients=not but_clients))
    _told(network, json_)


@click.command(
    short_help="Mend cuts.", epilog=example("standfast lab heal --lab ./lab", "standfast lab heal a:b --lab ./lab")
)
@click.argument("cut_", metavar="[A:B ...]", nargs=-1)
@_lab
@_json
def heal(directory: Path, cut_: tuple[str, ...], *, json_: bool) -> None:
    """Mend these cuts, or all of them."""
    network = of(directory)
    network.heal(cuts.pairs(cut_, [*network.addresses]) if cut_ else None)
    _told(network, json_)


@click.command(
    "exec",
    short_help="Run a command on a member's machine, or on that of clients.",
    context_settings={"allow_interspersed_args": False},
    epilog=example(
        "standfast lab exec --lab ./lab client standfast proxy --listen 127.0.0.1:4222 \\",
        "      --queue-manager orders --file ./lab/cluster.toml",
    ),
)
@click.argument("machine")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_lab
def exec_(directory: Path, machine: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in the network namespace of MACHINE: a member, or `client`. It sees the files of this machine."""
    network = of(directory)
    inside = network.inside(*cuts.known((machine,), [*network.addresses]))
    os.execv(inside[0], [*inside, *command])  # noqa: S606 - there is no shell


def of(directory: Path) -> Network:
    """The lab's own network; raises UsageError when it has none."""
    network = Lab(directory).network
    if network is None:
        raise UsageError(
            f"The lab in {directory} is on loopback addresses, which nobody can cut. Make one whose members have a "
            "network of their own: standfast lab up DIRECTORY --namespaces"
        )
    return network


def sentence(network: Network) -> str:
    """What is cut now."""
    return f"cut: {', '.join(_words(network)) or 'nothing'}"


def _words(network: Network) -> Iterator[str]:
    cut_ = network.cuts()
    for one, other in sorted(cut_):
        if (other, one) not in cut_:
            yield f"{one}>{other}"
        elif one < other:
            yield f"{one}:{other}"


def _told(network: Network, json_: bool) -> None:
    if json_:
        as_json({"cuts": sorted(network.cuts())})
    else:
        show(sentence(network))
