"""`standfast run`: one member in the foreground."""

from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.clusterfile import load
from standfast.errors import UsageError
from standfast.model.cluster import Cluster

CLUSTER_FILE = Path("/etc/standfast/cluster.toml")
STATE_DIR = Path("/var/lib/standfast")
RUN_DIR = Path("/run/standfast")
TRUST = "trust"
"""Next to the cluster file, as `standfast init` writes it: a directory for each member, see standfast/trust.py."""


def known_member(cluster: Cluster, name: str) -> str:
    """The name, when the cluster has a member of it; raises UsageError."""
    names = [member.name for member in cluster.members]
    if name not in names:
        raise UsageError(f"The cluster file has no member {name!r}: choose one of {', '.join(names)}.")
    return name


@click.command(
    short_help="Run a member in the foreground.",
    epilog=example("standfast run --file /etc/standfast/cluster.toml --member a"),
)
@click.option("--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file.")
@click.option("--member", "-m", "name", required=True, help="Which member of the file this machine is.")
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="Directory with this member's keys.  [default: trust/MEMBER next to the cluster file]",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help=f"Its lasting state: identity, etcd.  [default: {STATE_DIR}/MEMBER]",
)
@click.option(
    "--run-dir", type=click.Path(path_type=Path), default=RUN_DIR, show_default=True, help="Sockets; gone at a reboot."
)
@click.option("--group", help="Users of this group may use the control socket too.")
@click.option(
    "--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True, help="Of the log."
)
def run(
    *,
    file: Path,
    name: str,
    trust: Path | None,
    state_dir: Path | None,
    run_dir: Path,
    group: str | None,
    log_format: str,
) -> None:
    """Run a member in the foreground, until SIGTERM or SIGINT: it then hands its queue managers over and ends.

    The control socket is RUN_DIR/MEMBER.sock. Under systemd: Type=notify, KillMode=process, Delegate=yes.
    """
    cluster = load(file)
    known_member(cluster, name)
    from standfast.member.daemon import main as serve  # noqa: PLC0415 - the whole daemon, which only this command needs

    serve(
        cluster=cluster,
        member=name,
        trust=trust or file.parent / TRUST / name,
        state_dir=state_dir or STATE_DIR / name,
        run_dir=run_dir,
        group=group,
        log_format=log_format,
    )
