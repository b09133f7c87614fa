"""`standfast store`: look after the store of decisions: back it up, restore it, run its etcd alone."""

import asyncio
import contextlib
import signal
from datetime import UTC, datetime
from pathlib import Path

import click
from msgspec import structs
from rich.console import Console

from standfast.cli.examples import example
from standfast.cli.run import STATE_DIR
from standfast.cli.screen import as_json, show
from standfast.cli.store_door import Door, at_the_store
from standfast.cli.store_health import check, make_room
from standfast.errors import MachineError, Refused, StateError, UsageError
from standfast.member.absence import Presence, presences
from standfast.member.durable import write_durably
from standfast.member.statedir import StateDir
from standfast.member.storehouse import tls_files
from standfast.stores.backup import Backup, decode, encode
from standfast.stores.restoring import restore as put_back
from standfast.stores.restoring import undo as take_back
from standfast.stores.supervisor import EtcdServer


@click.group(
    short_help="Check, back up, restore the store of decisions.",
    epilog=example("standfast store check", "standfast store backup /var/backups/standfast.jsonl"),
)
def store() -> None:
    """Look after the store, in which the cluster's decisions stand: etcd.

    Queue managers need it only to change their owner. It holds no messages.
    """


store.add_command(check)
store.add_command(make_room)


@store.command(
    short_help="Save what the store holds in a file.",
    epilog=example("standfast store backup /var/backups/standfast.jsonl"),
)
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@at_the_store
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def backup(*, target: Path, door: Door, json_: bool) -> None:
    """Save everything that Standfast keeps, as it is at one moment, in FILE: readable, with a checksum.

    FILE appears whole or not at all, and is read back before this ends well. Queue managers and members go on
    meanwhile. Their messages are not in it.
    """
    raw = asyncio.run(_saved(door))
    try:
        write_durably(target, raw)
        saved = decode(target.read_bytes(), str(target))
    except OSError as error:
        raise MachineError(f"{target} can not be written: {error.strerror}. Nothing was saved there.") from error
    if json_:
        as_json(structs.asdict(saved.header) | {"bytes": len(raw), "sha256": saved.checksum})
    else:
        show(
            f"{target}: {saved.header.records} records and {saved.header.events} events of cluster {door.cluster.name} "
            f"at revision {saved.header.revision}, {len(raw)} bytes"
        )


async def _saved(door: Door) -> bytes:
    async with door.open() as (kept, _):
        return encode(door.cluster.name, await kept.snapshot(), datetime.now(UTC))


@store.command(epilog=example("standfast store restore standfast.jsonl", "standfast store restore --undo"))
@click.argument("source", metavar="[FILE]", type=click.Path(path_type=Path, dir_okay=False), required=False)
@at_the_store
@click.option("--undo", is_flag=True, help="Take back a restore that was not finished, instead of FILE.")
@click.option("--stopped", multiple=True, metavar="MEMBER", help="It does not answer; I made sure that it is stopped.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def restore(*, source: Path | None, door: Door, undo: bool, stopped: tuple[str, ...], json_: bool) -> None:
    """Put the backup in FILE into an empty store of the same cluster. No member may run.

    Start each member's etcd alone (`standfast store serve`), restore on one machine, end them, start the members. All
    members then join anew, queue managers are placed anew. If it is interrupted, members refuse the store until the
    same command was run again, or --undo.
    """
    if (source is None) is not undo:
        raise UsageError("Name the backup to restore, or say --undo: one of the two.")
    saved = _read(source) if source is not None else None
    done = asyncio.run(_restore(door, saved, stopped))
    if json_:
        as_json(done)
    elif saved is not None:
        show(
            f"The store holds cluster {door.cluster.name} as it was at {saved.header.made_at} (revision "
            f"{saved.header.revision}). Now end every `standfast store serve`, and start the members."
        )
    else:
        show("The unfinished restore is taken back: the store is empty." if done else "The store was empty already.")


def _read(file: Path) -> Backup:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise StateError(f"The backup {file} can not be read: {error.strerror}. Nothing was changed.") from error
    return decode(raw, str(file))


async def _restore(door: Door, saved: Backup | None, vouched: tuple[str, ...]) -> object:
    for name, presence in (await presences(door.cluster)).items():
        if presence is Presence.RUNNING:
            raise Refused(f"Member {name} runs. Nothing was changed. Stop all members, then restore.")
        if presence is Presence.SILENT and name not in vouched:
            raise Refused(
                f"The machine of member {name} does not answer, so that the member may run there. Nothing was changed. "
                f"Make sure that it is stopped, then say so with --stopped {name}."
            )
    async with door.open() as (kept, _):
        if saved is None:
            return await take_back(kept)
        with Console(stderr=True).status("Restoring ...") as shown:
            return await put_back(
                kept, saved, door.cluster, door.member, lambda done, of: shown.update(f"Restoring: {done} of {of} ...")
            )


@store.command(short_help="Run this member's etcd alone.", epilog=example("standfast store serve --member a"))
@at_the_store
@click.option(
    "--state-dir", type=click.Path(path_type=Path), help=f"The member's lasting state.  [default: {STATE_DIR}/MEMBER]"
)
def serve(*, door: Door, state_dir: Path | None) -> None:
    """Run this member's etcd alone, without the member, until SIGTERM or Ctrl-C: for a restore or for repair.

    Never beside the member: who comes second is refused.
    """
    if door.cluster.store.endpoints:
        raise UsageError("The cluster uses an etcd of its own ([store] endpoints): start that one.")
    asyncio.run(_serve(door, state_dir or STATE_DIR / door.member))


async def _serve(door: Door, directory: Path) -> None:
    with contextlib.closing(StateDir(directory, door.cluster.id, door.member)) as state:
        server = EtcdServer(door.cluster, door.member, state.path, tls=tls_files(door.trust))
        running = asyncio.create_task(server.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        click.echo(f"etcd of member {door.member} runs without the member; its log is {server.log_file}", err=True)
        with contextlib.suppress(asyncio.CancelledError):
            await running
