"""`standfast store check|make-room`: the store's health in a table, and room in a full one."""

import asyncio
from collections.abc import Iterator

import click

from standfast.cli.examples import example
from standfast.cli.screen import Cell, Column, as_json, console, hanging, show, styled, table
from standfast.cli.store_door import Door, at_the_store
from standfast.cli.words import STYLES, Level, Words
from standfast.errors import StoreError, StoreFatal, StoreFull, StoreUnavailable
from standfast.stores.etcd_settings import EtcdTuning
from standfast.stores.health import EndpointHealth, Finding, StoreHealth, Symptom, examine, judge
from standfast.stores.ledger import Ledger
from standfast.stores.room import Room
from standfast.stores.room import make_room as clear_up

MIB = 1024 * 1024
SYMPTOMS: dict[Symptom, Words] = {
    Symptom.CORRUPT: Words(
        "corrupt",
        Level.PROBLEM,
        "etcd found that its members' data differ: it refuses all work",
        "save what is left (`standfast store backup`), then replace the member whose data are wrong",
    ),
    Symptom.DIVERGED: Words(
        "diverged",
        Level.PROBLEM,
        "its data differ from the others', and etcd has not noticed: members go by different records",
        "save what most have (`standfast store backup`), stop this member, move its `etcd` and `etcd.begun` aside, and "
        "start it: it is taken in anew",
    ),
    Symptom.NO_MAJORITY: Words(
        "no majority",
        Level.PROBLEM,
        "it does not answer: what runs goes on, but no owner can change",
        "see that a majority of its members run and reach each other",
    ),
    Symptom.FULL: Words(
        "full",
        Level.PROBLEM,
        "its quota is used up: what runs goes on, but no owner can change",
        "`standfast store make-room`",
    ),
    Symptom.NO_WRITES: Words(
        "no writes", Level.PROBLEM, "it is read, but a write fails: no owner can change", "see the reason given"
    ),
    Symptom.UNUSABLE_VERSION: Words("version", Level.PROBLEM, "this server can not be used", "install another etcd"),
    Symptom.SILENT: Words("silent", Level.WARNING, "it does not answer", "look at its machine and its etcd.log"),
    Symptom.NO_LEADER: Words(
        "no leader", Level.WARNING, "this member of etcd is cut off from the majority", "look at its network"
    ),
    Symptom.NEARLY_FULL: Words(
        "nearly full",
        Level.WARNING,
        "its database nears the quota, beyond which writes are refused",
        "`standfast store make-room`",
    ),
    Symptom.SLOW_DISK: Words(
        "slow disk",
        Level.WARNING,
        "its disk syncs slowly; a change of owner waits for a majority of disks",
        "give etcd a disk of its own, or a faster one",
    ),
    Symptom.SLOW_COMMIT: Words(
        "slow writes",
        Level.WARNING,
        "a write takes long, and so does each change of owner",
        "look at disks and network",
    ),
    Symptom.VERSIONS_DIFFER: Words(
        "versions", Level.NOTE, "the members run different releases of etcd", "finish the upgrade"
    ),
    Symptom.SPARSE: Words("sparse", Level.NOTE, "much of its file is empty", "`standfast store make-room` shrinks it"),
    Symptom.FAULTY_VERSION: Words("version", Level.NOTE, "this release of etcd has known faults", "plan an upgrade"),
}
_RAISED: dict[Symptom, type[StoreError]] = {
    Symptom.CORRUPT: StoreFatal,
    Symptom.DIVERGED: StoreFatal,
    Symptom.NO_MAJORITY: StoreUnavailable,
    Symptom.FULL: StoreFull,
    Symptom.NO_WRITES: StoreUnavailable,
    Symptom.UNUSABLE_VERSION: StoreFatal,
}
_COLUMNS = (
    Column("MEMBER"),
    Column("VERSION"),
    Column("LEADER"),
    Column("TERM", right=True, spare=2),
    Column("DATABASE", right=True),
    Column("QUOTA", right=True, spare=1),
    Column("SYNC P99", right=True),
)


@click.command(short_help="Judge the store; writes nothing.", epilog=example("standfast store check --member a"))
@at_the_store
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def check(*, door: Door, json_: bool) -> None:
    """Judge the store: who answers, its leader, room, alarms, and how fast its disks are.

    Writes nothing: the time of a write is that of a few which are refused on purpose. The exit code is 0 when owners
    can change, also with warnings; else 8.
    """
    health = asyncio.run(_examined(door))
    found = judge(health)
    if json_:
        as_json({"findings": found, "health": health})
    else:
        show(*_shown(health, found))
    for finding in found:
        if (kind := _RAISED.get(finding.symptom)) is not None:
            words = SYMPTOMS[finding.symptom]
            raise kind(f"The store is in trouble: {words.meaning}. What to do: {words.action}.")


async def _examined(door: Door) -> StoreHealth:
    async with door.open() as (kept, gateway):
        return await examine(gateway, kept)


def _shown(health: StoreHealth, found: list[Finding]) -> Iterator[Cell]:
    width = console().width
    level = max((SYMPTOMS[one.symptom].level for one in found), key=list(Level).index, default=Level.OK)
    yield styled(level, level) + f"  {_sentence(health)}"
    yield ""
    yield from table(_COLUMNS, (_row(one) for one in health.endpoints), width)
    if found:
        yield ""
    for one in found:
        words = SYMPTOMS[one.symptom]
        about = f"{one.subject}: " if one.subject else ""
        because = f" ({one.detail})" if one.detail else ""
        yield from hanging(words.level, f"{about}{words.meaning}{because}: {words.action}", width, STYLES[words.level])


def _sentence(health: StoreHealth) -> str:
    up = sum(not one.silent for one in health.endpoints)
    read = f"a read takes {health.read_ms:.1f} ms" if health.read_ms is not None else "no reads"
    write = f"a write {max(health.commit_ms):.1f} ms at most" if health.commit_ms else "no writes"
    return f"{up} of {len(health.endpoints)} members of the store answer, {read}, {write}"


def _row(one: EndpointHealth) -> list[Cell]:
    if one.silent:
        return [one.member or one.endpoint, "silent", "", "", "", "", ""]
    leader = "leads" if one.leads else "known" if one.leader else "none"
    size, quota = f"{one.db_bytes / MIB:.1f} MiB", f"{one.quota_bytes / MIB:.0f} MiB" if one.quota_bytes else ""
    sync = f"{one.fsync.p99_ms:g} ms" if one.fsync else ""
    return [one.member or one.endpoint, one.version, leader, str(one.term), size, quota, sync]


@click.command(
    "make-room",
    short_help="Give a full store room again.",
    epilog=example("standfast store make-room --keep-events 2000"),
)
@at_the_store
@click.option("--keep-events", type=click.IntRange(min=0), help="Delete older events first.  [default: keep all]")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def make_room(*, door: Door, keep_events: int | None, json_: bool) -> None:
    """Forget old revisions, shrink each member's file one after the other, and take back the alarm of a full store.

    Queue managers go on. A change of owner may wait while a member's file is shrunk.
    """
    room = asyncio.run(_made(door, keep_events, quiet=json_))
    if json_:
        as_json(room)
        return
    for one in room.endpoints:
        told = f"left as it was ({one.skipped})" if one.skipped else f"{one.before_bytes} -> {one.after_bytes} bytes"
        show(f"{one.endpoint}: {told}")
    show("The alarm is taken back: writes go on." if room.disarmed else "No alarm was raised.")


async def _made(door: Door, keep_events: int | None, *, quiet: bool) -> Room:
    async with door.open() as (kept, gateway):
        if keep_events is not None:
            await Ledger(kept, door.member).trim(keep_events)
        quota = 0 if door.cluster.store.endpoints else EtcdTuning().quota_bytes
        return await clear_up(gateway, kept, quota, lambda name: None if quiet else click.echo(f"{name} ...", err=True))
