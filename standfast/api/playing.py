"""A what-if, played by a process of its own: it may take seconds of a processor, and is killed when it takes too long.

Reads `{"snapshot": ..., "question": ...}` from standard input; writes a Foretold, or a Failure, as JSON.
"""

import asyncio
import sys

import msgspec
from msgspec import Struct

from standfast.api import limits
from standfast.api.answers import End, Failure, Foretold, Problem, Step, status_of
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


_one_at_a_time = asyncio.Lock()


async def played(snapshot: Snapshot, asked: Question) -> Foretold:
    """What would follow; raises Problem. One at a time: a processor may be all that this machine has to spare."""
    if _one_at_a_time.locked():
        raise Problem(429, "Busy", "Another what-if is being played. Ask again in a moment.", {"Retry-After": "2"})
    async with _one_at_a_time:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(limits.PLAY_S):
                told, _ = await process.communicate(msgspec.json.encode(Play(snapshot, asked)))
        except TimeoutError:
            why = f"It was not played to its end within {limits.PLAY_S:g} s. Use `standfast what-if` on the machine."
            raise Problem(409, "TooLong", why) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    status, body = msgspec.json.decode(told, type=tuple[int, msgspec.Raw]) if told else (500, msgspec.Raw(b""))
    if status == 200:  # noqa: PLR2004 - OK
        return msgspec.json.decode(body, type=Foretold)
    failure = msgspec.json.decode(body, type=Failure) if body else Failure(error="StandfastError", message="It broke.")
    raise Problem(status, failure.error, failure.message)


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
