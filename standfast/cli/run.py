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


def own_member(file: Path) -> str:
    """The member whose keys alone are next to the cluster file: each machine has its own and no others.

    Raises UsageError when there are none, or several.
    """
    try:
        found = sorted(entry.name for entry in (file.parent / TRUST).iterdir() if entry.is_dir())
    except OSError:
        found = []
    if len(found) == 1:
        return found[0]
    told = f"those of {', '.join(found)}" if found else "none"
    raise UsageError(
        f"Which member this machine is can not be told by the keys in {file.parent / TRUST} ({told}): name it with "
        f"--member, or keep there the keys of that member only."
    )


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
@click.option(
    "--member", "-m", "name", help="Which member of the file this machine is.  [default: the one whose keys it has]"
)
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
@click.option(
    "--priority",
    type=click.Choice(["realtime", "ordinary"]),
    default="realtime",
    show_default=True,
    envvar="STANDFAST_PRIORITY",
    show_envvar=True,
    help="Of the daemon, where the kernel allows it; the warden's is always realtime.",
)
def run(
    *,
    file: Path,
    name: str | None,
    trust: Path | None,
    state_dir: Path | None,
    run_dir: Path,
    group: str | None,
    log_format: str,
    priority: str,
) -> None:
    """Run a member in the foreground, until SIGTERM or SIGINT: it then hands its queue managers over and ends.

    The control socket is RUN_DIR/MEMBER.sock. `standfast unit` prints what systemd needs.
    """
    cluster = load(file)
    name = known_member(cluster, name or own_member(file))
    from standfast.member.daemon import main as serve  # noqa: PLC0415 - the whole daemon, which only this command needs
    from standfast.member.urgency import Priority  # noqa: PLC0415 - likewise

    serve(
        cluster=cluster,
        member=name,
        trust=trust or file.parent / TRUST / name,
        state_dir=state_dir or STATE_DIR / name,
        run_dir=run_dir,
        group=group,
        log_format=log_format,
        priority=Priority(priority),
    )
