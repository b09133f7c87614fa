"""Calls to services far away, each in a child process of its own: with a deadline, and never in the daemon's way.

Guaranteed: a child that does not end in time is killed; before each change it asks a moment that it shares with the
daemon whether the lease lasts now, so that also a child that was kept waiting changes nothing after the lease.
"""

import asyncio
import os
import sys

import msgspec
from msgspec import Struct

from standfast.endpoints.kind import Claim, Outcome, State
from standfast.model.cluster import EndpointSpec
from standfast.ports import boottime_ns

DEADLINE_S = 30.0
_BYTES = 8


class Errand(Struct, frozen=True, kw_only=True):
    """What a child shall do: have an endpoint lead here, or with `unhealthy` report this instance.

    Attributes:
        endpoint: to lead here.
        claim: for it.
        unhealthy: report this instance to its Auto Scaling group instead; `respect_grace` as the API has it.
        region: for that; empty: where the instance runs.
    """

    endpoint: EndpointSpec | None = None
    claim: Claim | None = None
    unhealthy: bool = False
    respect_grace: bool = True
    region: str = ""


class Moment:
    """A moment on CLOCK_BOOTTIME that processes share: the lease's end."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("standfast-lease") if descriptor is None else descriptor

    def set(self, at_ns: int) -> None:
        """From now on it is this one."""
        os.pwrite(self.descriptor, at_ns.to_bytes(_BYTES, sys.byteorder, signed=True), 0)

    def passed(self) -> bool:
        """Whether it has passed, or was never set."""
        raw = os.pread(self.descriptor, _BYTES, 0)
        return len(raw) < _BYTES or boottime_ns() >= int.from_bytes(raw, sys.byteorder, signed=True)

    def close(self) -> None:
        """Share it no more."""
        os.close(self.descriptor)


async def carried_out(errand: Errand, lease: Moment) -> Outcome:
    """How it ended; what becomes of a call whose child was killed nobody knows."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "standfast.endpoints.errand_child", str(lease.descriptor)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=(lease.descriptor,),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            told, _ = await process.communicate(msgspec.json.encode(errand))
        return msgspec.json.decode(told, type=Outcome)
    except TimeoutError:
        return Outcome(State.AGAIN, f"no answer within {DEADLINE_S:g} s")
    except msgspec.MsgspecError:
        return Outcome(State.AGAIN, f"the child that made the call ended with exit code {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
