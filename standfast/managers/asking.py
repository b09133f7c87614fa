"""Running a program of this machine for an answer, without ever waiting for it in the daemon's own process.

Guarantees: neither the start nor the end of the program is waited for here; one that hangs, also while it is being
executed from a dead mount, hangs a disposable child only.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from standfast.disposable import Disposable
from standfast.errors import MachineError
from standfast.managers import asking_child

DEADLINE_S = 10.0
"""What is asked here are descriptions and settings, which programs give within milliseconds."""
_SPARE_S = 2.0
"""More than the program has, for the child's own start."""
_ANSWER_BYTES = 2 * asking_child.OUTPUT_BYTES


class Outcome(Struct, frozen=True):
    """What came of it: `code` is None when there was no end in time, or not even a start; `output` says why."""

    code: int | None
    output: str


async def ask(*argv: str, env: Mapping[str, str] | None = None, deadline_s: float = DEADLINE_S) -> Outcome:
    """Run a program with these variables added to PATH and a plain locale; raises MachineError without a child."""
    plain = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/"}
    try:
        child = Disposable(asking_child.__name__)
    except OSError as error:
        raise MachineError(f"No process can be started to ask {argv[0]}: {error.strerror}.") from error
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(deadline_s + _SPARE_S):
            request = {"argv": argv, "env": {**plain, **(env or {})}, "deadline_s": deadline_s}
            await loop.sock_sendall(child.socket, msgspec.json.encode(request))
            return msgspec.json.decode(await loop.sock_recv(child.socket, _ANSWER_BYTES), type=Outcome)
    except (OSError, TimeoutError, msgspec.DecodeError):
        return Outcome(None, f"{' '.join(argv)} gave no answer within {deadline_s:g} s")
    finally:
        child.abandon()


__all__: Sequence[str] = ("DEADLINE_S", "Outcome", "ask")
