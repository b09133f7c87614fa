"""`standfast restart`: a new daemon in the place of the old one, without moving anything."""

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import as_json, show
from standfast.errors import NotSafe
from standfast.member.control_protocol import Restart, RestartReport

LOADED_S = 40.0
"""Longest wait for the answer: the new daemon is loaded before it."""


@click.command(
    short_help="Restart a member's daemon, without moving anything.",
    epilog=example("standfast restart --check && standfast restart"),
)
@asking
@click.option("--check", is_flag=True, help="Only load the new daemon and say what a restart would do.")
@click.option(
    "--leave", is_flag=True, help="End the daemon only: whoever asks starts the next one at once, as systemd does."
)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def restart(asked: Asked, *, check: bool, leave: bool, json_: bool) -> None:
    """Let a new daemon take the place of the member's: with the code and the cluster file that are there now.

    The new one is loaded first. If it can not be, or could not go on with what runs, nothing is changed, and the exit
    code says so: 4 and 10, with --check 12. Queue managers run on, and clients notice nothing.
    """
    patient = Asked(asked.socket, asked.member, max(asked.timeout_s, LOADED_S))
    report = patient.ask(Restart(check, leave), RestartReport)
    if json_:
        as_json(report)
    names = ", ".join(report.running) or "none"
    if report.ends and report.running:
        raise NotSafe(
            f"A restart by release {report.release} would end what runs here ({names}): it can not go on with the "
            f"warden's version {report.warden}. Move them away first, then stop and start the daemon."
        )
    if not json_:
        show(
            f"Release {report.was} {'can be' if check else 'is being'} replaced by {report.release}.",
            f"Queue managers that run on here: {names}.",
        )
