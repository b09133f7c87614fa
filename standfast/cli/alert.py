"""`standfast alert`: whether events reach those who should hear of them."""

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import Cell, Column, as_json, console, show, styled, table
from standfast.cli.words import Level, duration
from standfast.errors import SinkError
from standfast.member.alert_protocol import AlertReport, TestAlert

PATIENCE_S = 310.0
"""Longer than any sink's deadline: the member answers when each has answered, or failed to."""
_COLUMNS = (Column(""), Column("SINK"), Column("TOOK", right=True), Column("WHAT", note=True))


@click.group(
    short_help="Try whether events reach their sinks.",
    epilog=example("standfast alert test", "standfast alert test pager --member b"),
)
def alert() -> None:
    """Try whether events reach their sinks. Sinks are set up with `standfast config edit`: docs/alerts.md."""


@alert.command("test", epilog=example("standfast alert test", "standfast alert test pager --member b"))
@asking
@click.argument("sink", default="")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def test(asked: Asked, sink: str, *, json_: bool) -> None:
    """Deliver an event `alert_test` to SINK, or to all sinks, from the member that is asked.

    It goes over a connection of its own, past what waits. Each member may have another way to a sink: try each one
    with --member. Exit code 15 when a sink did not take it.
    """
    patient = Asked(asked.socket, asked.member, max(asked.timeout_s, PATIENCE_S))
    report = patient.ask(TestAlert(sink), AlertReport)
    if json_:
        as_json(report)
    else:
        rows: list[list[Cell]] = [
            [
                styled(Level.PROBLEM, Level.PROBLEM) if one.detail else styled(Level.OK, Level.OK),
                one.sink,
                duration(round(one.took_ms)),
                one.detail or "it took the event",
            ]
            for one in report.tried
        ]
        show(*table(_COLUMNS, rows, console().width))
    failed = [one.sink for one in report.tried if one.detail]
    if failed:
        raise SinkError(f"Not taken by {', '.join(failed)}: mend what is said of it, then try again.")
