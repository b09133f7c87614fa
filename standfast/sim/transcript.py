"""A run as a readable file: what it was, every event in order, the last states, and the promise that broke."""

from pathlib import Path

from standfast.sim.outcome import Outcome
from standfast.sim.world import NS_PER_S


def text_of(outcome: Outcome, command: str) -> str:
    """The transcript of a run that kept its lines; `command` replays it."""
    assert outcome.lines is not None
    head = [
        f"seed {outcome.seed}, {outcome.members} members, {outcome.simulated_s:.3f} s of virtual time",
        f"replay: {command}",
        *(f"  {line}" for line in outcome.setting),
        "",
    ]
    body = [f"{at_ns / NS_PER_S:12.6f}  {who:<6} {what}" for at_ns, who, what in outcome.lines]
    tail = ["", "last states:", *(f"  {line}" for line in outcome.states), "", verdict_of(outcome)]
    return "\n".join([*head, *body, *tail]) + "\n"


def verdict_of(outcome: Outcome) -> str:
    """Which promise broke and how, in one line."""
    return f"BROKEN: {outcome.broken}: {outcome.how}" if outcome.broken else "all promises held"


def write(outcome: Outcome, folder: Path, command: str) -> Path:
    """Write the transcript; the file's name tells the run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sim-{outcome.members}-{outcome.seed}.txt"
    path.write_text(text_of(outcome, command), encoding="utf-8")
    return path
