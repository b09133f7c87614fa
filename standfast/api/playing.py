"""A what-if, played by a process of its own (play.py): it may take seconds of a processor.

It is killed when it takes too long. Nothing of the simulator is loaded here.
"""

import asyncio
import sys

import msgspec

from standfast.api import limits
from standfast.api.answers import Failure, Foretold, Problem
from standfast.api.bodies import Question
from standfast.member.snapshot import Snapshot

PLAY = "standfast.api.play"

_one_at_a_time = asyncio.Lock()


async def played(snapshot: Snapshot, asked: Question) -> Foretold:
    """What would follow; raises Problem. One at a time: a processor may be all that this machine has to spare."""
    if _one_at_a_time.locked():
        raise Problem(429, "Busy", "Another what-if is being played. Ask again in a moment.", {"Retry-After": "2"})
    async with _one_at_a_time:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PLAY),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(limits.PLAY_S):
                told, _ = await process.communicate(msgspec.json.encode({"snapshot": snapshot, "question": asked}))
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
