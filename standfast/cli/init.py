"""`standfast init`: a cluster file and the trust of its members, from what the command line says."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from standfast.cli.bundles import write_bundles
from standfast.cli.examples import example
from standfast.cli.run import TRUST
from standfast.cli.screen import as_json
from standfast.clusterfile import read, template
from standfast.errors import UsageError
from standfast.model.cluster import API_PORT, Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.timing import DEFAULT_PROFILE, PROFILES

CLUSTER_FILE = "cluster.toml"


class Named(click.ParamType[tuple[str, tuple[str, ...]]]):
    """NAME=ADDRESS[,ADDRESS...]."""

    name = "name=address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[str, ...]]:
        """Split it; the cluster file's rules judge the parts."""
        name, equals, addresses = str(value).partition("=")
        if not equals or not addresses:
            self.fail(
                f"{value!r}: write NAME=ADDRESS, or NAME=ADDRESS,ADDRESS for two links, such as a=10.0.0.1.", param, ctx
            )
        return name, tuple(addresses.split(","))


class QueueManager(click.ParamType[QueueManagerSpec]):
    """NAME:KIND:PORT:PATH."""

    name = "name:kind:port:path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> QueueManagerSpec:
        """Split it; the cluster file's rules judge the parts."""
        name, kind, port, path = (*str(value).split(":", 3), "", "", "")[:4]
        if not port.isdecimal() or not path:
            self.fail(f"{value!r}: write NAME:KIND:PORT:PATH, such as orders:nats:4222:/shared/orders.", param, ctx)
        return QueueManagerSpec(name=name, kind=kind, port=int(port), storage=StorageSpec(path=path))


@click.command(
    short_help="Write a cluster file, keys and certificates.",
    epilog=example(
        "standfast init --cluster shop --data a=10.0.0.1 --data b=10.0.0.2 --witness w=10.0.0.3 \\",
        "    --queue-manager orders:nats:4222:/shared/orders --out ./shop",
    ),
)
@click.option("--cluster", "name", required=True, help="Name of the cluster.")
@click.option(
    "--data", type=Named(), multiple=True, metavar="NAME=ADDRESS", help="A member that may run queue managers."
)
@click.option("--witness", type=Named(), multiple=True, metavar="NAME=ADDRESS", help="A member that only votes.")
@click.option(
    "--queue-manager",
    "queue_managers",
    type=QueueManager(),
    multiple=True,
    metavar="NAME:KIND:PORT:PATH",
    help="What to keep available, and where its data are.",
)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default=DEFAULT_PROFILE, show_default=True, help="Timers."
)
@click.option("--for-hosts", is_flag=True, help="Also write an archive for each machine, to unpack at its root.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory to write to.")
@click.option("--json", "json_", is_flag=True, help="Print JSON: what was written where, and what is worth a look.")
def init(
    *,
    name: str,
    data: tuple[tuple[str, tuple[str, ...]], ...],
    witness: tuple[tuple[str, tuple[str, ...]], ...],
    queue_managers: tuple[QueueManagerSpec, ...],
    profile: str,
    for_hosts: bool,
    out: Path,
    json_: bool,
) -> None:
    """Write a complete, commented cluster file, and keys and certificates for each member. Nothing is overwritten.

    The number of members must be odd. Give two addresses to a member that has two networks.
    """
    members = [MemberSpec(name=n, role=Role.DATA, addresses=a, api_port=API_PORT) for n, a in data]
    members += [MemberSpec(name=n, role=Role.WITNESS, addresses=a, api_port=API_PORT) for n, a in witness]
    text = template(name, uuid.uuid4().hex, members, queue_managers, profile)
    reading = read(text.encode())
    if reading.cluster is None:
        listed = "".join(f"\n  {problem.place}: {problem.sentence}" for problem in reading.problems)
        raise UsageError(f"That can not be a cluster, and nothing was written:{listed}")
    _write(out, text, reading.cluster)
    archives = write_bundles(out, reading.cluster) if for_hosts else []
    warnings = [f"{warning.place}: {warning.sentence}" for warning in reading.warnings]
    if json_:
        written = {
            "cluster_file": str(out / CLUSTER_FILE),
            "trust": str(out / TRUST),
            "archives": [*map(str, archives)],
        }
        as_json({**written, "members": [m.name for m in members], "warnings": warnings})
        return
    for warning in warnings:
        click.echo(f"Warning: {warning}")
    click.echo(_next_on_hosts(archives) if for_hosts else _next_steps(out, reading.cluster))


def _write(out: Path, text: str, cluster: Cluster) -> None:
    """Keys first: they refuse a directory that has some already, and a file without keys would be no use."""
    from standfast.trust import write_trust  # noqa: PLC0415 - cryptography takes longer to load than all the rest

    file = out / CLUSTER_FILE
    if file.exists():
        raise UsageError(f"{file} exists already: nothing was written. Choose another --out, or move it away.")
    write_trust(out / TRUST, cluster)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"{file} can not be written: {error.strerror}. See that {out} can be written.") from None


def _next_on_hosts(archives: Sequence[Path]) -> str:
    """What to do now with an archive for each machine."""
    return "\n".join(
        [
            f"Wrote {archives[0].parent}/. Next, for each machine (docs/install.md has it in full):",
            "",
            f"1. Copy its archive there: {', '.join(archive.name for archive in archives)}. It holds its keys.",
            "2. There, as root, with the package of Standfast installed (a.tar on machine a):",
            "     tar -C / -xpf a.tar && rm a.tar && systemctl daemon-reload",
            f"     standfast check /etc/standfast/{CLUSTER_FILE} --member a",
            "     systemctl enable --now standfast",
            f"3. Keep {archives[0].parent.parent / TRUST}/ away from the members: whoever has it can make a member.",
        ]
    )


def _next_steps(out: Path, cluster: Cluster) -> str:
    """What to do now, as commands."""
    lines = [f"Wrote {out / CLUSTER_FILE} and {out / TRUST}/. Next:", ""]
    lines += [
        "1. Read the cluster file, then copy it and the keys of each member to its machine:",
        f"     {out / CLUSTER_FILE}  to  /etc/standfast/{CLUSTER_FILE}  on all of them",
        *(
            f"     {out / TRUST / m.name}/  to  /etc/standfast/{TRUST}/{m.name}/  on {m.addresses[0]}, and nowhere else"
            for m in cluster.members
        ),
        "2. On each machine:",
        f"     standfast check /etc/standfast/{CLUSTER_FILE} --member NAME",
        f"     standfast run --file /etc/standfast/{CLUSTER_FILE} --member NAME",
        f"3. Keep {out / TRUST / '_authority'} away from the members: whoever has it can make a member.",
    ]
    return "\n".join(lines)
