"""`standfast proxy`: one address for clients that always leads to the member that runs a queue manager."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from standfast.cli.examples import example
from standfast.clusterfile import load
from standfast.endpoints.follow import Source
from standfast.endpoints.proxy import HOLD_S, Owner, Proxy
from standfast.errors import UsageError
from standfast.model.cluster import Role

_MAX_PORT = 65_535


class Socket(click.ParamType[tuple[str, int]]):
    """ADDRESS:PORT; an IPv6 address in brackets."""

    name = "address:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Split it."""
        address, _, port = str(value).rpartition(":")
        if not address or not port.isdecimal() or int(port) > _MAX_PORT:
            self.fail(f"{value!r}: write ADDRESS:PORT, such as 127.0.0.1:4222 or [::1]:4222.", param, ctx)
        return address.removeprefix("[").removesuffix("]"), int(port)


class Member(click.ParamType[Source]):
    """NAME=ADDRESS:PORT."""

    name = "name=address:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Source:
        """Split it."""
        name, equals, where = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r}: write NAME=ADDRESS:PORT, such as a=10.0.0.1:7403.", param, ctx)
        return Source(name, *Socket().convert(where, param, ctx))


@click.command(
    short_help="Forward a port to whichever member runs a queue manager.",
    epilog=example(
        "standfast proxy --listen 127.0.0.1:4222 --queue-manager orders \\",
        "    --member a=10.0.0.1:7403 --member b=10.0.0.2:7403",
        "standfast proxy --listen 127.0.0.1:4222 --queue-manager orders --file cluster.toml",
    ),
)
@click.option("--listen", type=Socket(), required=True, help="Where clients connect.")
@click.option("--queue-manager", "-q", "qm", required=True, help="Name of the queue manager.")
@click.option(
    "--member", "members", type=Member(), multiple=True, help="A data member's health port; give all of them."
)
@click.option("--file", type=click.Path(path_type=Path), help="Take the members from a cluster file instead.")
@click.option(
    "--hold",
    "hold_s",
    type=click.FloatRange(min=0),
    default=HOLD_S,
    show_default=True,
    help="How long a client is held while nobody is active, in seconds.",
)
def proxy(listen: tuple[str, int], qm: str, members: tuple[Source, ...], file: Path | None, hold_s: float) -> None:
    """Forward a port to whichever member runs a queue manager, until SIGTERM or SIGINT. Needs no key.

    Connections to a member that may not run it any more are reset; clients that come while nobody is active are held.
    """
    if bool(members) == bool(file):
        raise UsageError("Where the members are must be said once: give --member for each data member, or --file.")
    sources = _sources(file, qm) if file else members
    asyncio.run(_serve(listen, qm, sources, hold_s))


def _sources(file: Path, qm: str) -> Sequence[Source]:
    """The health ports of all data members in a cluster file."""
    cluster = load(file)
    names = [spec.name for spec in cluster.queue_managers]
    if qm not in names:
        raise UsageError(f"{file} has no queue manager {qm!r}: choose one of {', '.join(names) or 'none'}.")
    return [Source(m.name, m.addresses[0], m.health_port) for m in cluster.members if m.role is Role.DATA]


async def _serve(listen: tuple[str, int], qm: str, sources: Sequence[Source], hold_s: float) -> None:
    """Until a signal comes; each change of owner is a line on standard error."""
    engine = Proxy(address=listen[0], port=listen[1], queue_manager=qm, sources=sources, hold_s=hold_s, changed=_tell)
    engine.open()
    serving = asyncio.ensure_future(engine.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    click.echo(f"{qm}: listening on {listen[0]}:{engine.port}", err=True)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _tell(owner: Owner | None) -> None:
    line = f"active on {owner.member}, {owner.address}:{owner.port}, epoch {owner.epoch}" if owner else "active nowhere"
    sys.stderr.write(line + "\n")
