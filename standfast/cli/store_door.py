"""The way of `standfast store ...` to the store: with a member's own credentials, past the daemon.

Past it, because the store is looked after most when a daemon is in trouble or must not run: a restore is refused while
one does. Who may read a member's keys may do all this anyway.
"""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct

from standfast.cli.run import CLUSTER_FILE, TRUST, known_member
from standfast.clusterfile import load
from standfast.errors import UsageError
from standfast.member.storehouse import access
from standfast.model.cluster import Cluster
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.trust import AUTHORITY

PATIENCE = Patience(operation_s=10.0, try_s=3.0)
"""A person waits, and the store may be in trouble: more patient than a member."""

F = TypeVar("F", bound=Callable[..., Any])


class Door(Struct, frozen=True):
    """Which store the command line means.

    Attributes:
        cluster: the cluster file.
        member: as whom.
        trust: directory with that member's keys.
    """

    cluster: Cluster
    member: str
    trust: Path

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Etcd, Gateway]]:
        """The store, and its endpoints one by one; raises KeyFileError."""
        way = access(self.cluster, self.member, self.trust)
        store = Etcd(self.cluster.name, **way, patience=PATIENCE)
        gateway = Gateway(**way, patience=PATIENCE)
        try:
            yield store, gateway
        finally:
            await store.close()
            await gateway.close()


def at_the_store(command: F) -> F:
    """Give a command the options that say which store; it gets them as the keyword `door`."""

    @click.option(
        "--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file."
    )
    @click.option("--member", "-m", "name", help="With this member's keys.  [default: the only one there is]")
    @click.option(
        "--trust",
        type=click.Path(path_type=Path),
        help="Directory with its keys.  [default: trust/MEMBER next to the cluster file]",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, file: Path, name: str | None, trust: Path | None, **values: Any) -> Any:
        cluster = load(file)
        member = known_member(cluster, name or _only_member(file.parent / TRUST))
        return command(*args, door=Door(cluster, member, trust or file.parent / TRUST / member), **values)

    return wrapped  # type: ignore[return-value]


def _only_member(trust: Path) -> str:
    found = sorted(path.name for path in trust.glob("*") if path.is_dir() and path.name != AUTHORITY)
    if len(found) == 1:
        return found[0]
    told = f"the keys of {', '.join(found)}" if found else "no keys"
    raise UsageError(f"Say with --member whose keys to use: {trust} has {told}.")
