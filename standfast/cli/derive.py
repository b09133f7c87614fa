"""`standfast member derive`: a member's keys, made on its own machine from a secret that all members are given."""

import shutil
import sys
import tempfile
from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.run import CLUSTER_FILE, TRUST, known_member
from standfast.clusterfile import load
from standfast.errors import KeyFileError

SHORTEST = 32
"""Characters of a secret: fewer could be guessed."""


@click.command(
    short_help="Make a member's keys from the cluster's secret.",
    epilog=example("standfast member derive a < secret"),
)
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file.")
@click.option("--out", type=click.Path(path_type=Path), help=f"Where to.  [default: {TRUST}/NAME next to the file]")
def derive(name: str, *, file: Path, out: Path | None) -> None:
    """Make what member NAME needs to be trusted, from a secret on standard input. Nothing is overwritten.

    Every machine that does this with the same secret and cluster file gets keys that trust each other: for machines
    that are made by themselves, as in an Auto Scaling group. Who has the secret can make a member: keep it as you
    would keep the authority of `standfast init`. Random, and 32 characters at least.
    """
    cluster = load(file)
    folder = out or file.parent / TRUST / known_member(cluster, name)
    secret = sys.stdin.read().strip()
    if len(secret) < SHORTEST:
        raise KeyFileError(f"The secret on standard input has fewer than {SHORTEST} characters: nothing was written.")
    if folder.exists():
        raise KeyFileError(f"{folder} exists already and may hold the keys of a member that runs: nothing was written.")
    from standfast.trust import write_trust  # noqa: PLC0415 - cryptography takes longer to load than all the rest

    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
    except OSError as error:
        raise KeyFileError(f"{folder.parent} can not be written: {error.strerror}. Run this as root.") from error
    try:
        write_trust(unfinished / TRUST, cluster, secret.encode())
        (unfinished / TRUST / name).rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    click.echo(f"Wrote {folder}.")
