"""`standfast unit`: what systemd must know of the cluster file on this machine."""

from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.run import CLUSTER_FILE, known_member, own_member
from standfast.cli.words import Level
from standfast.clusterfile import load
from standfast.clusterfile.unit import drop_in
from standfast.errors import MachineError
from standfast.model.cluster import Cluster, MemberSpec

UNIT = "standfast.service"
DROP_IN = Path("/etc/systemd/system") / f"{UNIT}.d/50-cluster.conf"
_PACKAGED = (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"), Path("/etc/systemd/system"))


@click.command(
    short_help="Print what systemd must know of the cluster file.",
    epilog=example(f"standfast unit > {DROP_IN}", "standfast unit --write && systemctl daemon-reload"),
)
@click.option("--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file.")
@click.option(
    "--member", "-m", "name", help="Which member of the file this machine is.  [default: the one whose keys it has]"
)
@click.option("--write", is_flag=True, help=f"Write it to {DROP_IN}.")
def unit(*, file: Path, name: str | None, write: bool) -> None:
    """Print a drop-in for standfast.service: mounts to wait for, the time of a stop; for a witness, a tight sandbox.

    Use it again when queue managers or their storage have changed.
    """
    cluster = load(file)
    text = drop_in(cluster, cluster.member(known_member(cluster, name or own_member(file))))
    if not write:
        click.echo(text, nl=False)
        return
    try:
        DROP_IN.parent.mkdir(parents=True, exist_ok=True)
        DROP_IN.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MachineError(f"{DROP_IN} can not be written: {error.strerror}. Run this as root.") from error
    click.echo(f"Wrote {DROP_IN}. Next: systemctl daemon-reload")


def unit_trouble(cluster: Cluster, member: MemberSpec) -> tuple[Level, str, str] | None:
    """What is wrong with the drop-in on this machine; None when nothing is, or when the unit is not installed."""
    if not any((place / UNIT).exists() for place in _PACKAGED):
        return None
    try:
        there = DROP_IN.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return Level.WARNING, f"{UNIT} does not know this cluster file: it may start before its mounts", _ACTION
    if there != drop_in(cluster, member):
        return Level.WARNING, f"{DROP_IN} was made from another cluster file", _ACTION
    return Level.OK, f"{UNIT} is installed, and knows this cluster file", ""


_ACTION = "standfast unit --write && systemctl daemon-reload"
