"""`standfast drbd`: resource files, the handlers that DRBD calls, how copies are, and a way out of a split."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.text import Text

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.run import CLUSTER_FILE
from standfast.cli.screen import Column, as_json, console, show, styled, table
from standfast.cli.words import Level, plain
from standfast.clusterfile import load
from standfast.errors import MachineError, Refused, StandfastError, UsageError
from standfast.member.config_protocol import ConfigReport
from standfast.member.control_protocol import OrderResult, ShowConfig, TakeSnapshot
from standfast.member.copy_protocol import LostCopy
from standfast.member.snapshot import Snapshot
from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.quorum.signals import Verdict
from standfast.storage import drbd as device
from standfast.storage.drbd_config import resource
from standfast.storage.drbd_hand import DrbdTrouble, Hand
from standfast.storage.drbd_state import NEXT, Replica, Situation, situation

OUTDATED, PEER_IS_PRIMARY, BROKEN = 4, 6, 1
"""Exit codes of a fence-peer handler as DRBD documents them: the peer was outdated; the peer is primary, and this half
is the outdated one; anything else, and writes stay frozen."""
ASK_AGAIN_S = 0.2
_PROGRAM = sys.argv[0] if Path(sys.argv[0]).name == "standfast" else f"{sys.executable} -m standfast"
_COLUMNS = (
    Column("QUEUE MANAGER"),
    Column("SITUATION"),
    Column("ROLE", spare=2),
    Column("HERE", spare=1),
    Column("PEER", spare=1),
    Column("NEXT", note=True),
)


@click.group(
    short_help="Replicated storage: resource files, handlers, state.",
    epilog=example("standfast drbd status", "standfast drbd config orders >/etc/drbd.d/orders.res"),
)
def drbd() -> None:
    """Storage of kind drbd: a copy of a queue manager's data on each of two data members. See docs/drbd.md."""


@drbd.command(
    short_help="Print the resource file of a queue manager.",
    epilog=example("standfast drbd config orders --file cluster.toml >/etc/drbd.d/orders.res"),
)
@click.argument("queue_manager")
@click.option("--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file.")
@click.option("--socket", type=click.Path(path_type=Path), help="Control socket of the member.  [default: looked for]")
@click.option("--program", default=_PROGRAM, show_default=True, help="`standfast` on both members.")
@click.option(
    "--drbd", "release", type=click.Choice(["8", "9"]), default="9", show_default=True, help="DRBD's release."
)
def config(queue_manager: str, *, file: Path, socket: Path | None, program: str, release: str) -> None:
    """Print DRBD's resource file for QUEUE_MANAGER: the same on both data members. Put it into /etc/drbd.d."""
    cluster = load(file)
    handler = f"env STANDFAST_SOCKET={socket} {program} drbd" if socket else f"{program} drbd"
    click.echo(resource(cluster, _spec(cluster, queue_manager), handler, int(release)), nl=False)


@drbd.command(
    "fence-peer",
    short_help="Called by DRBD: may writes go on without the peer?",
    epilog=example('fence-peer "standfast drbd fence-peer";    # in a resource file'),
)
@asking
def fence_peer(asked: Asked) -> NoReturn:
    """Have the store say that the peer's copy is outdated; only then writes go on. Called by DRBD.

    It asks until that is so, or until the store says that another member owns the queue manager. Without a majority it
    asks for ever, and writes stay frozen: that is what keeps acknowledged messages.

    Exit codes, as DRBD documents them: 4 the peer's copy is outdated now; 6 the peer owns it; 1 nothing was changed.
    """
    name = _resource()
    while True:
        try:
            verdict = asked.ask(LostCopy(name), OrderResult).verdict
        except StandfastError as error:
            click.echo(f"standfast: {error}", err=True)
        else:
            if verdict is Verdict.DONE:
                sys.exit(OUTDATED)
            if verdict is Verdict.NOT_THE_OWNER:
                sys.exit(PEER_IS_PRIMARY)
            if verdict not in {Verdict.CHANGED_MEANWHILE, Verdict.STORE_UNREACHABLE}:
                click.echo(f"standfast: {plain(verdict)}", err=True)
                sys.exit(BROKEN)
        time.sleep(ASK_AGAIN_S)


@drbd.command(
    "unfence-peer",
    short_help="Called by DRBD: the peer has all data again.",
    epilog=example('unfence-peer "standfast drbd unfence-peer";    # in a resource file'),
)
@asking
def unfence_peer(asked: Asked) -> None:
    """Have the member look at the copies at once. Called by DRBD; the member looks every second anyway."""
    asked.ask(LostCopy(_resource(), back=True), OrderResult)


@drbd.command(short_help="How this machine's copies are.", epilog=example("standfast drbd status"))
@asking
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def status(asked: Asked, *, json_: bool) -> None:
    """Show each replicated queue manager's copy as DRBD on this machine has it, what that means and what to do next."""
    cluster = asked.ask(ShowConfig(), ConfigReport).cluster
    specs = [spec for spec in cluster.queue_managers if spec.storage.replicated]
    found = {spec.name: _state(spec) for spec in specs}
    if json_:
        told = {qm: replica._asdict() if replica else {} for qm, replica in found.items()}
        as_json({qm: {"situation": situation(found[qm]), **values} for qm, values in told.items()})
        return
    show(*table(_COLUMNS, (_row(qm, replica) for qm, replica in found.items()), console().width))


@drbd.command(
    short_help="The way out of a split: give up what this half wrote.",
    epilog=example("standfast drbd heal orders    # on the outdated half, then on the other one"),
)
@asking
@click.argument("queue_manager")
def heal(asked: Asked, queue_manager: str) -> None:
    """Connect two halves of QUEUE_MANAGER that refuse each other because both were written to.

    On the member whose copy the store calls outdated: what that half wrote since is given up, and it takes the other's
    data. Nothing of it was ever acknowledged. On the other one: it only connects again. Begin with the outdated one.
    """
    known = asked.ask(TakeSnapshot(), Snapshot)
    spec = _spec(asked.ask(ShowConfig(), ConfigReport).cluster, queue_manager)
    now = situation(_state(spec))
    outdated = known.taken_by in known.view.assignments[queue_manager].record.outdated
    # Often only one half says that they refuse each other, while the other one goes on calling for it.
    if now is not Situation.SPLIT and not (outdated and now is Situation.ALONE):
        raise Refused(f"{queue_manager} is not split on this machine, it is {plain(now)}: {NEXT[now]}")
    _do("discard" if outdated else "connect", resource=queue_manager)
    told = "gives up what it wrote and takes the other half's data" if outdated else "connects again"
    show(f"This half {told}. `standfast drbd status` shows how far it is.")


def _spec(cluster: Cluster, name: str) -> QueueManagerSpec:
    for spec in cluster.queue_managers:
        if spec.name == name and spec.storage.replicated:
            return spec
    raise UsageError(f"The cluster has no queue manager {name!r} with storage of kind drbd.")


def _resource() -> str:
    """DRBD names it in the environment of its handlers."""
    name = os.environ.get("DRBD_RESOURCE", "")
    if not name:
        raise UsageError("DRBD_RESOURCE is not set: this command is for DRBD to call, as a handler.")
    return name


def _state(spec: QueueManagerSpec) -> Replica | None:
    found = _do("state", minor=spec.storage.minor)
    return None if found is None else Replica(*found)


def _do(what: str, **arguments: object) -> Any:
    """Have a disposable child do it."""

    async def ask() -> Any:
        hand = Hand()
        try:
            return await hand.ask(what, within_s=device.PROGRAM_S, **arguments)
        finally:
            hand.close()

    try:
        return asyncio.run(ask())
    except DrbdTrouble as trouble:
        raise MachineError(f"DRBD on this machine: {trouble}. See `drbdadm status` and the kernel log.") from None


def _row(qm: str, replica: Replica | None) -> tuple[str | Text, ...]:
    now = situation(replica)
    level = Level.OK if now is Situation.IN_SYNC else Level.WARNING
    percent = f" {replica.percent:.0f} %" if replica is not None and replica.percent is not None else ""
    role, here, there = (replica.role, replica.disk, replica.peer_disk) if replica else ("", "", "")
    return qm, styled(plain(now) + percent, level), role, here, there, NEXT[now]
