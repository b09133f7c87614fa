"""`standfast explain`: what a short word in a log, an event or a status means, and what to do.

The tables of docs/events.md and docs/storage.md are made here too, so that terminal and documents never differ.
"""

import difflib
import re
from enum import StrEnum

import click
from msgspec import Struct

from standfast.cli.examples import example
from standfast.cli.screen import Column, as_json, console, hanging, show, table
from standfast.errors import UsageError
from standfast.model.events import CATALOGUE
from standfast.quorum import placement
from standfast.quorum.ladder import Rung
from standfast.storage.refusal import MEANINGS

_LOG = "Read RUN_DIR/MEMBER/queue-managers/NAME/output.log on that member."


class Sort(StrEnum):
    """What kind of word it is."""

    EVENT = "event"
    REFUSAL = "refusal"  # of a launch; also the `code` of qm_failed
    RUNG = "rung"  # what decided that a member had to go; `decided_by` of member_told_to_go
    END = "end"  # how a queue manager ended; the `code` of qm_failed and the reason of qm_released


class Word(Struct, frozen=True, kw_only=True):
    """One word.

    Attributes:
        word: as it is shown.
        sort: what kind of word.
        severity: of an event; empty for others.
        meaning: what happened.
        action: what to do next.
    """

    word: str
    sort: Sort
    severity: str = ""
    meaning: str
    action: str


def _end(word: str, meaning: str, action: str) -> Word:
    return Word(word=word, sort=Sort.END, meaning=meaning, action=action)


ENDS = (
    _end("exit_N", "Its main process ended by itself with exit code N.", _LOG),
    _end(
        "signal_N",
        "Its main process was ended by signal N.",
        f"After 9 that nobody sent, look for the kernel's out-of-memory killer. {_LOG}",
    ),
    _end(
        "start_timeout",
        "It did not answer within start_timeout_s of its start.",
        f"{_LOG} If it needs longer, raise start_timeout_s.",
    ),
    _end("no_answer", "It answered no question for some seconds, though its process was there.", _LOG),
    _end(
        "left_no_process",
        "Its start command said that it was started, and left no process: it runs elsewhere or not at all.",
        f"{_LOG} Let the command start it itself, and not by a service manager or a container daemon.",
    ),
    _end("says_stopped", "Its status command says that it does not run any more; what it had left was killed.", _LOG),
    _end("stop_over", "Its stop used up all stages; what was left was killed.", _LOG),
    _end("processes_ended", "The last process of its unit has ended.", "Read the unit's journal on that member."),
    _end(
        "warden_gone", "The member's warden died, and the queue manager with it.", "Read warden.log in RUN_DIR/MEMBER."
    ),
    _end("unwatched", "It ended while the member's daemon was being restarted.", _LOG),
    _end("no_warden", "The member's warden was just being replaced.", "Nothing to do: it is started again."),
    _end("MachineError", "The driver found no program to run.", "Run `standfast check` on that member."),
    _end("KeyFileError", "The driver could not use the password file.", "Run `standfast check` on that member."),
)


RUNGS: dict[Rung, str] = {
    Rung.MAJORITY: "It did not hear a majority of the members itself.",
    Rung.CIRCLE: "The largest set of members that all hear each other is one without it.",
    Rung.CHECKS: "It could not be given queue managers then, or its next hop did not answer; others had both.",
    Rung.DATA: "It could start fewer queue managers on current data.",
    Rung.RUNS: "It ran fewer queue managers.",
    Rung.PRIORITY: "Its configured priority is lower.",
    Rung.NAME: "All else was equal; its name comes later.",
}


PLACING: dict[placement.Rung, str] = {
    placement.Rung.HOP: "it finds its next hop, or has none to look for",
    placement.Rung.NOT_IN_QUARANTINE: "it is not in quarantine",
    placement.Rung.HEARD: "it is heard by its own word, not by that of others alone",
    placement.Rung.GROUP: "fewer of its strict groups, which are down as well, are left without a place then",
    placement.Rung.APART: "it runs fewer of a preferred `apart` group",
    placement.Rung.TOGETHER: "fewer of a preferred `together` group are elsewhere",
    placement.Rung.PREFERENCE: "it comes earlier in the queue manager's own order of `preferred` members",
    placement.Rung.FEWEST: "it runs fewer queue managers",
    placement.Rung.NAME: "its name comes first",
}
"""Of two members that could run a queue manager, the one of which this is true gets it."""


def words() -> tuple[Word, ...]:
    """Every word that there is."""
    events = (
        Word(word=kind, sort=Sort.EVENT, severity=entry.severity, meaning=entry.meaning, action=entry.action)
        for kind, entry in CATALOGUE.items()
    )
    refusals = (
        Word(word=code, sort=Sort.REFUSAL, meaning=found.meaning, action=found.action)
        for code, found in MEANINGS.items()
    )
    rungs = (
        Word(
            word=rung, sort=Sort.RUNG, meaning=meaning, action="Mend the link; docs/arbitration.md has the whole order."
        )
        for rung, meaning in RUNGS.items()
    )
    return (*events, *refusals, *rungs, *ENDS)


def lookup(text: str) -> Word:
    """The word of that text; `exit_3` finds `exit_N`. Raises UsageError, naming the nearest, when there is none."""
    known = {word.word: word for word in words()}
    plain = text.strip().replace(" ", "_").replace("-", "_")
    found = known.get(plain) or known.get(re.sub(r"_\d+$", "_N", plain))
    if found is not None:
        return found
    near = difflib.get_close_matches(plain, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "`standfast explain` lists all."
    raise UsageError(f"The word {text!r} is unknown. {hint}")


def events_markdown() -> str:
    """The table of events for docs/events.md."""
    rows = [f"| `{w.word}` | {w.severity} | {w.meaning} | {w.action} |" for w in words() if w.sort is Sort.EVENT]
    return "\n".join(("| event | severity | what happened | what to do |", "|---|---|---|---|", *rows)) + "\n"


def ends_markdown() -> str:
    """The table of ends for docs/events.md."""
    rows = [f"| `{end.word}` | {end.meaning} | {end.action} |" for end in ENDS]
    return "\n".join(("| code | what happened | what to do |", "|---|---|---|", *rows)) + "\n"


def placing_markdown() -> str:
    """The comparison of placement for docs/concepts.md."""
    lines = [f"| {number} | {PLACING[rung]} |" for number, rung in enumerate(placement.RUNGS, 1)]
    return "\n".join(("| | the member gets it when |", "|---:|---|", *lines)) + "\n"


def refusals_markdown() -> str:
    """The table of refusals for docs/storage.md."""
    rows = [
        f"| `{code}` | {found.meaning} | {found.action} | {'yes' if found.passing else 'no'} |"
        for code, found in MEANINGS.items()
    ]
    return "\n".join(("| code | what happened | what to do | may pass by itself |", "|---|---|---|---|", *rows)) + "\n"


@click.command(
    short_help="What an event or a code means, and what to do.",
    epilog=example("standfast explain member_evicted", "standfast explain locked", "standfast explain exit_1"),
)
@click.argument("word", required=False)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def explain(word: str | None, *, json_: bool) -> None:
    """What an event or a code means, and what to do. Without WORD: all of them."""
    found = (lookup(word),) if word else words()
    if json_:
        as_json(found)
    elif word:
        shown = found[0]
        label = f"{shown.sort}, {shown.severity}" if shown.severity else shown.sort
        show(*hanging(shown.word, f"({label})  {shown.meaning} {shown.action}", console().width, "bold"))
    else:
        columns = (Column("WORD"), Column("SORT", spare=2), Column("SEVERITY", spare=1), Column("MEANING", note=True))
        rows = ([one.word, one.sort, one.severity, one.meaning] for one in found)
        show(*table(columns, rows, console().width))
