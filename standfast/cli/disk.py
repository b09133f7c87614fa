"""`standfast disk`: prepare a shared disk for heartbeats, and look at one."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.text import Text

from standfast.cli.examples import example
from standfast.cli.run import CLUSTER_FILE, TRUST
from standfast.cli.screen import Column, as_json, console, moment, show, styled, table
from standfast.cli.words import Level, duration, plain
from standfast.clusterfile import load
from standfast.errors import KeyFileError, UsageError
from standfast.links.disk import PATIENCE_S
from standfast.links.disk_io import Crew, DiskTrouble
from standfast.links.disk_layout import Fault, Layout, Volume
from standfast.links.disk_slots import STARTS_SHIFT, SlotState, SlotView
from standfast.links.disk_volume import Outcome, Prepared, Survey, prepare, survey
from standfast.model.cluster import Cluster
from standfast.trust import CLUSTER_KEY, load_cluster_key

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_RECORD_MASK = (1 << STARTS_SHIFT) - 1

_COLUMNS = (
    Column("SLOT", right=True),
    Column("MEMBER"),
    Column("STATE"),
    Column("RECORD", right=True, spare=2),
    Column("WRITTEN, ITS CLOCK", spare=1),
    Column("READS", spare=3),
    Column("MEANING", note=True),
)

SEEN: dict[SlotState, tuple[str, Level, str]] = {
    SlotState.UNKNOWN: ("unknown", Level.WARNING, "the disk could not be read again"),
    SlotState.BLANK: ("blank", Level.NOTE, "its member has never written, or it was wiped"),
    SlotState.LIVE: ("writes", Level.OK, ""),
    SlotState.UNMET: ("writes", Level.OK, ""),
    SlotState.SILENT: ("silent", Level.WARNING, "unchanged while looking: stopped, frozen, dead, or without this disk"),
    SlotState.WENT_BACK: ("went back", Level.PROBLEM, "an older record returned: a late write, or a snapshot"),
    SlotState.DAMAGED: ("damaged", Level.PROBLEM, "torn or overwritten; the member's next record mends it"),
    SlotState.STRANGE: ("strange", Level.PROBLEM, "not sealed for this slot by this cluster; see who writes there"),
}
"""By state: its word for an onlooker, how bad it is, and what it means."""

_OUTCOMES: dict[Outcome, str] = {
    Outcome.FORMATTED: "{path} is the shared disk of cluster {cluster} now.",
    Outcome.UPDATED: "{path} has slots for the members of the file now; the others were left as they are.",
    Outcome.UNCHANGED: "{path} was ready already: nothing was written.",
}


def _with_disk(command: F) -> F:
    """Give a command the argument PATH and the options that every command about a disk has."""
    command = click.option("--json", "json_", is_flag=True, help="Print JSON.")(command)
    command = click.option(
        "--trust",
        type=click.Path(path_type=Path),
        help="Folder with cluster.key.  [default: a member's, in trust/ next to the cluster file]",
    )(command)
    command = click.option(
        "--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file."
    )(command)
    return click.argument("path", required=False, type=click.Path(path_type=Path))(command)


@click.group(
    short_help="Prepare a shared disk for heartbeats, and look at one.",
    epilog=example("standfast disk init --file cluster.toml", "standfast disk show --file cluster.toml"),
)
def disk() -> None:
    """A shared disk: a slot for each member, 68 KiB in all, for heartbeats that need no network.

    Members use the one that [disk] of the cluster file names. See docs/shared-disk.md.
    """


@disk.command(
    "init",
    short_help="Make a device or file the cluster's shared disk.",
    epilog=example("standfast disk init", "standfast disk init /dev/disk/by-id/scsi-36001405 --file cluster.toml"),
)
@_with_disk
@click.option("--force", metavar="CLUSTER", help="Lose all that is on it. Name the cluster to confirm.")
def init(path: Path | None, *, force: str | None, file: Path, trust: Path | None, json_: bool) -> None:
    """Make PATH, a block device or file, the shared disk of the cluster. Once, on one member.

    Without PATH: the one of [disk] in the cluster file.
    On the cluster's own disk it gives slots to new members and frees those of members that are gone; running members
    notice. Whatever else is not blank is refused.
    """
    cluster = load(file)
    if force is not None and force != cluster.name:
        raise UsageError(f"The cluster file is of cluster {cluster.name!r}, not {force!r}: nothing was written.")
    layout = Layout(cluster.id, _key(file, trust))
    where = _where(path, cluster)
    done: Prepared = _carried_out(where, prepare(where, cluster, layout, Crew(PATIENCE_S), force=force is not None))
    if json_:
        as_json({"outcome": done.outcome, "block": done.facts.block, **_header(done.volume)})
        return
    show(_OUTCOMES[done.outcome].format(path=where, cluster=cluster.name))
    show(
        f"{len(done.volume.members)} slots of {done.volume.unit} bytes, {done.volume.members.count('')} free; "
        f"blocks of {done.facts.block} bytes"
    )


@disk.command(
    "show",
    short_help="Whose slot changes, and what is wrong with the others.",
    epilog=example("standfast disk show", "standfast disk show /dev/disk/by-id/scsi-36001405 --file cluster.toml"),
)
@_with_disk
@click.option(
    "--look",
    "look_s",
    type=click.FloatRange(min=0, min_open=True),
    help="Time between the two looks, in seconds.  [default: the cluster's doubt time]",
)
def show_(path: Path | None, *, look_s: float | None, file: Path, trust: Path | None, json_: bool) -> None:
    """Look at PATH, or at the disk of the cluster file, twice and show each member's slot; writes nothing.

    A slot that changes is written by a live daemon. When a slot last changed before that, only its author's own clock
    tells. RECORD is the number of the daemon's start and of the record in it. READS names the members whose records
    the author had read.
    """
    cluster = load(file)
    look_ns = cluster.timing.in_doubt_ns if look_s is None else round(look_s * 1e9)
    where = _where(path, cluster)
    layout = Layout(cluster.id, _key(file, trust))
    found: Survey = _carried_out(where, survey(where, layout, Crew(PATIENCE_S), look_ns=look_ns))
    if json_:
        rows = [{**msgspec.structs.asdict(slot), "reads": found.reads[slot.member]} for slot in found.slots]
        as_json({**_header(found.volume), "looked_ms": found.looked_ms, "slots": rows})
        return
    show(*table(_COLUMNS, (_row(slot, found) for slot in found.slots), console().width))
    show(f"two looks {duration(found.looked_ms)} apart; {found.volume.members.count('')} slots are free")
    show(*_differences(cluster, found.volume))


def _where(path: Path | None, cluster: Cluster) -> str:
    """The path given, or the cluster file's; raises UsageError when there is neither."""
    if path is not None:
        return str(path.absolute())
    if not cluster.disk.path:
        raise UsageError("The cluster file names no shared disk in [disk]: give the path of one.")
    return cluster.disk.path


def _header(volume: Volume) -> dict[str, Any]:
    """The header in JSON."""
    return {"disk": volume.disk.hex(), "unit": volume.unit, "members": volume.members, "revision": volume.revision}


def _row(slot: SlotView, found: Survey) -> tuple[str | Text, ...]:
    """One line of the table."""
    word, level, meaning = SEEN[slot.state]
    if slot.fault is not None and slot.fault is not Fault.BLANK:
        meaning = f"{plain(slot.fault)}: {meaning}"
    return (
        str(slot.slot),
        slot.member,
        styled(word, level),
        f"{slot.sequence >> STARTS_SHIFT}:{slot.sequence & _RECORD_MASK}" if slot.sequence else "",
        moment(slot.written_ms) if slot.written_ms else "",
        " ".join(name for name in found.reads[slot.member] if name != slot.member),
        meaning,
    )


def _differences(cluster: Cluster, volume: Volume) -> list[str]:
    """Where the disk and the cluster file do not name the same members."""
    names = {spec.name for spec in cluster.members}
    missing = sorted(names - set(volume.members))
    gone = sorted(set(volume.members) - names - {""})
    lines = [f"no slot yet for {', '.join(missing)}: run `standfast disk init` with this file"] if missing else []
    return lines + ([f"not in the cluster file: {', '.join(gone)}"] if gone else [])


def _key(file: Path, trust: Path | None) -> bytes:
    """The cluster key from the folder given, or from that of any member here; raises KeyFileError."""
    if trust is not None:
        return load_cluster_key(trust / CLUSTER_KEY)
    folder = file.parent / TRUST
    found = sorted(folder.glob(f"*/{CLUSTER_KEY}"))
    if not found:
        raise KeyFileError(
            f"No cluster key: there is no {CLUSTER_KEY} in any folder of {folder}. Give a member's folder with --trust."
        )
    return load_cluster_key(found[0])


def _carried_out(path: str, work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; a trouble with the disk becomes the error that an operator reads."""
    try:
        return asyncio.run(work)
    except DiskTrouble as trouble:
        raise trouble.error(path) from trouble
