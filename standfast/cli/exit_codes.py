"""`standfast exit-codes`, and docs/exit-codes.md, both made from errors.py."""

import click
from msgspec import Struct

from standfast.cli.examples import example
from standfast.cli.main import BROKEN_PIPE, INTERRUPTED
from standfast.cli.screen import Column, as_json, console, show, table
from standfast.errors import StandfastError


class ExitCode(Struct, frozen=True):
    """One exit code, the name of the error behind it and what it means."""

    code: int
    name: str
    meaning: str


def exit_codes_table() -> list[ExitCode]:
    """All of them, by number. A class without a code of its own shares its parent's line."""
    rows = [
        ExitCode(0, "success", "The command did what it says."),
        ExitCode(StandfastError.exit_code, "unforeseen", "An error that nobody foresaw: a bug. Please report it."),
        ExitCode(INTERRUPTED, "interrupted", "Ctrl-C."),
        ExitCode(BROKEN_PIPE, "broken pipe", "The reader of the output had enough."),
    ]
    for kind in _drawn(StandfastError):
        meaning = (kind.__doc__ or "").strip().splitlines()[0]
        kinds = [f"{sub.__name__}: {(sub.__doc__ or '').strip()}" for sub in _drawn(kind)]
        rows.append(ExitCode(kind.exit_code, kind.__name__, " ".join(kinds or [meaning])))
    return sorted(rows, key=lambda row: row.code)


def _drawn(kind: type[StandfastError]) -> list[type[StandfastError]]:
    """The classes right below, as drawn in errors.py; modules that happen to be loaded may have finer ones."""
    return [sub for sub in kind.__subclasses__() if sub.__module__ == StandfastError.__module__]


def markdown() -> str:
    """The text of docs/exit-codes.md."""
    lines = [
        "# Exit codes",
        "",
        "Made by `standfast exit-codes --markdown` from `standfast/errors.py`; a test keeps it up to date.",
        "",
        "| code | name | meaning |",
        "|---:|---|---|",
        *(f"| {row.code} | {row.name} | {row.meaning} |" for row in exit_codes_table()),
        "",
        "A message on standard error says what happened, why, and what to do next. Scripts may rely on the codes, not",
        "on the sentences.",
    ]
    return "\n".join(lines) + "\n"


@click.command("exit-codes", short_help="What each exit code means.", epilog=example("standfast exit-codes"))
@click.option("--markdown", "markdown_", is_flag=True, help="Print docs/exit-codes.md.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def exit_codes(*, markdown_: bool, json_: bool) -> None:
    """What each exit code means."""
    if json_:
        as_json(exit_codes_table())
    elif markdown_:
        click.echo(markdown(), nl=False)
    else:
        columns = (Column("CODE", right=True), Column("NAME"), Column("MEANING", note=True))
        rows = ([str(row.code), row.name, row.meaning] for row in exit_codes_table())
        show(*table(columns, rows, console().width))
