"""The process that plays a what-if, see playing.py.

Reads `{"snapshot": ..., "question": ...}` from standard input; writes a Foretold, or a Failure, as JSON.
"""

import sys

import msgspec
from msgspec import Struct

from standfast.api.answers import End, Failure, Foretold, Step, status_of
from standfast.api.bodies import Question
from standfast.cli.story import paragraphs, question
from standfast.cli.what_if import cautions, supposition
from standfast.cli.words import FURTHER
from standfast.errors import StandfastError
from standfast.member.snapshot import Snapshot
from standfast.sim.what_if import what_if
from standfast.sim.world import Broken


class Play(Struct, frozen=True):
    """What the process is given."""

    snapshot: Snapshot
    question: Question


def foretold(play: Play) -> Foretold:
    """Play it. Raises UsageError for what can not be supposed; Broken."""
    taken = play.snapshot
    supposed = supposition(play.question.lose, play.question.cut, play.question.fail_hop, taken.cluster)
    prospect = what_if(taken, supposed)
    return Foretold(
        supposed=question(supposed),
        all_run=prospect.all_run,
        survives_one_more=prospect.survives_one_more,
        cautions=tuple(sentence for _, sentence in cautions(taken, prospect)),
        story=tuple(Step(at_ms, sentence) for at_ms, sentence in paragraphs(prospect.story, supposed.lose)),
        queue_managers=tuple(
            End(name=qm.name, was_on=qm.was_on, runs_on=qm.runs_on, epoch=qm.epoch) for qm in prospect.queue_managers
        ),
        weak_points=tuple(f"losing {reason.subject}: {FURTHER[reason.cost]}" for reason in prospect.weak_points),
    )


def main() -> None:
    """Of the process."""
    play = msgspec.json.decode(sys.stdin.buffer.read(), type=Play)
    try:
        answer: tuple[int, object] = (200, foretold(play))
    except StandfastError as error:
        answer = (status_of(error), Failure(error=type(error).__name__, message=str(error)))
    except Broken as broken:
        why = f"In this play a promise is broken: {broken.promise}. Please report it, with `standfast snapshot`."
        answer = (500, Failure(error="PromiseBroken", message=why))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
