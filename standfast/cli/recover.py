"""`standfast recover`: rebuild the store from this machine, when the others are lost for good."""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.run import STATE_DIR
from standfast.cli.screen import as_json, show
from standfast.cli.store_door import Door, at_the_store
from standfast.errors import UsageError
from standfast.member.statedir import StateDir
from standfast.member.storehouse import tls_files
from standfast.stores.recovery import Recovered, Recovery

WARNING = """\
The store of cluster {cluster} will be rebuilt from what {member} has of it. All other members count as lost for good.
What a majority without {member} decided last is forgotten. An old machine that comes back with its old disk
must be wiped before it is switched on. This can not be taken back once the others have joined again."""


@click.command(
    short_help="Rebuild the store from a survivor.",
    epilog=example("standfast recover --cluster shop --survivor a --member a"),
)
@at_the_store
@click.option("--cluster", "named", required=True, help="Name of the cluster, as a proof that you mean this one.")
@click.option("--survivor", required=True, metavar="MEMBER", help="Name of this member, as a proof of the same.")
@click.option("--state-dir", type=click.Path(path_type=Path), help=f"Its state.  [default: {STATE_DIR}/MEMBER]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def recover(*, door: Door, named: str, survivor: str, state_dir: Path | None, yes: bool, json_: bool) -> None:
    """Rebuild the store from this member, when the machines of all others are lost for good.

    Its daemon must be stopped. Refused while an etcd or a daemon of another member answers. The data are copied aside
    first. Afterwards start the daemon, `standfast override grant` if queue managers are to run at once, and bring the
    others back under their names with empty state directories: docs/override.md.
    """
    if (named, survivor) != (door.cluster.name, door.member):
        raise UsageError(
            f"--cluster and --survivor name {named} and {survivor}; this is member {door.member} of cluster "
            f"{door.cluster.name}. Nothing was changed. Run this on the machine that survived."
        )
    if door.cluster.store.endpoints:
        raise UsageError(
            "The store of this cluster is an etcd of your own: recover it with etcd's own means, "
            "or `standfast store restore` a backup."
        )
    if not yes:
        click.echo(WARNING.format(cluster=named, member=survivor), err=True)
        if not sys.stdin.isatty():
            raise UsageError("Nobody is there to confirm it: run this at a terminal, or with --yes.")
        click.confirm("Do it?", abort=True, err=True)
    found = asyncio.run(_recovered(door, state_dir or STATE_DIR / door.member))
    if json_:
        as_json(found)
        return
    show(
        f"The store is rebuilt at revision {found.revision}; given up: {', '.join(found.given_up) or 'nobody'}.",
        f"Its data before are in {found.backup}: delete them when all is well.",
        "Next: start this member, then bring the others back with empty state directories (docs/override.md).",
    )


async def _recovered(door: Door, state_dir: Path) -> Recovered:
    with contextlib.closing(StateDir(state_dir, door.cluster.id, door.member)) as state:
        recovery = Recovery(
            door.cluster,
            door.member,
            state.path,
            tls=tls_files(door.trust),
            tell=lambda said: click.echo(f"{said} ...", err=True),
        )
        return await recovery.run(datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
