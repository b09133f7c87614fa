"""`standfast token`: who is let in by the API and its page, and as what."""

import datetime as dt
import time
from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.run import STATE_DIR
from standfast.cli.screen import Cell, Column, as_json, console, moment, show, styled, table
from standfast.cli.words import Level
from standfast.errors import UsageError
from standfast.tokens import Right, Token, TokenFile, proper

MS_PER_DAY = 86_400_000
NS_PER_MS = 1_000_000

_COLUMNS = (Column("NAME"), Column("RIGHT"), Column("STATE"), Column("SINCE"), Column("EXPIRES"))
_state_dir = click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help=f"The member's lasting state.  [default: the only directory in {STATE_DIR}]",
)
_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group(short_help="Tokens for the API and its page.", epilog=example("standfast token create alice --operator"))
def token() -> None:
    """Make, list and revoke tokens for the API and its page, on the machine of any member.

    Members tell each other within seconds: a token made on one is good on all that are up. docs/api.md says more.
    """


@token.command(epilog=example("standfast token create alice --operator", "standfast token create wall --days 365"))
@click.argument("name")
@click.option("--operator", is_flag=True, help="It may act, not only look.")
@click.option("--days", type=click.IntRange(1, 36_500), help="It expires after so many days; else never.")
@_state_dir
@_json
def create(name: str, *, operator: bool, days: int | None, state_dir: Path | None, json_: bool) -> None:
    """Make a token for NAME and print it: this once, for only its SHA-256 is kept."""
    now_unix_ms = time.time_ns() // NS_PER_MS
    right = Right.OPERATOR if operator else Right.VIEWER
    made = _file(state_dir).create(name, right, now_unix_ms, now_unix_ms + days * MS_PER_DAY if days else 0)
    if json_:
        as_json({"name": name, "right": right, "token": made})
    else:
        show(made)


@token.command("list", epilog=example("standfast token list"))
@_state_dir
@_json
def list_(state_dir: Path | None, *, json_: bool) -> None:
    """List all tokens that this member knows, without what they are."""
    tokens, now_unix_ms = _file(state_dir).read(), time.time_ns() // NS_PER_MS
    if json_:
        as_json(
            [
                {
                    "name": one.name,
                    "right": one.right,
                    "good": one.good(now_unix_ms),
                    "revoked": one.revoked,
                    "changed_unix_ms": one.changed_unix_ms,
                    "expires_unix_ms": one.expires_unix_ms,
                }
                for one in tokens
            ]
        )
    elif tokens:
        show(*table(_COLUMNS, (_row(one, now_unix_ms) for one in tokens), console().width))
    else:
        show("There are no tokens yet: `standfast token create NAME`.")


@token.command(epilog=example("standfast token revoke alice"))
@click.argument("name")
@_state_dir
@_json
def revoke(name: str, state_dir: Path | None, *, json_: bool) -> None:
    """Let NAME's token be worth nothing: here at once, on the other members that are up within seconds."""
    _file(state_dir).revoke(name, time.time_ns() // NS_PER_MS)
    if json_:
        as_json({"name": name, "revoked": True})
    else:
        show(f"{name} is let in no more.")


@token.command(epilog=example("standfast token certificate alice --operator --trust ./shop/trust --out ./alice"))
@click.argument("name")
@click.option("--operator", is_flag=True, help="It may act, not only look.")
@click.option("--days", type=click.IntRange(1, 36_500), default=365, show_default=True, help="It is good so long.")
@click.option(
    "--trust", type=click.Path(path_type=Path), required=True, help="Directory with _authority, as `init` wrote it."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory to write to.")
@_json
def certificate(name: str, *, operator: bool, days: int, trust: Path, out: Path, json_: bool) -> None:
    """Make a client certificate for NAME with the cluster's authority, where that is kept.

    It is as good as a token, on every member at once, and can not be revoked: it ends by itself.
    """
    from standfast.people import certify  # noqa: PLC0415 - cryptography takes longer to load than all the rest

    if not proper(name):
        raise UsageError(f"The name {name!r} must be 1 to 63 letters, digits, dots, dashes, underlines and @.")
    right = Right.OPERATOR if operator else Right.VIEWER
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    certify(trust, name, right, until, out)
    if json_:
        as_json({"name": name, "right": right, "folder": str(out), "until": until.isoformat(timespec="seconds")})
    else:
        show(f"Wrote ca.crt, client.crt and client.key to {out}: for {name}, {right}, good until {until:%Y-%m-%d}.")


def _row(one: Token, now_unix_ms: int) -> list[Cell]:
    state = "good" if one.good(now_unix_ms) else "revoked" if one.revoked else "expired"
    return [
        one.name,
        one.right,
        styled(state, Level.OK if state == "good" else Level.WARNING),
        moment(one.changed_unix_ms)[:16],
        moment(one.expires_unix_ms)[:16] if one.expires_unix_ms else "never",
    ]


def _file(state_dir: Path | None) -> TokenFile:
    """In the directory given, or in the only one that there is. Raises UsageError."""
    if state_dir is not None:
        if not state_dir.is_dir():
            raise UsageError(f"There is no directory {state_dir}: give the member's, as `standfast run` has it.")
        return TokenFile(state_dir)
    found = sorted(path for path in STATE_DIR.glob("*") if path.is_dir())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UsageError(f"--state-dir is needed: {STATE_DIR} holds the state of {names}.")
    return TokenFile(found[0])
