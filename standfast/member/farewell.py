"""The end of a member: what is waited for, why it must not simply be started again, and what to do instead."""

import asyncio
import logging
from typing import Any

from standfast.errors import NotAMember, StandfastError, StateError
from standfast.member.runtime import Runtime
from standfast.quorum.signals import LeaveReason

_log = logging.getLogger(__name__)
_NOT_A_MEMBER = {
    LeaveReason.REMOVED: (
        "The cluster has removed the member {me!r}, so this machine has stopped and does not join again. To make it a "
        "member once more: move its state directory away, give the order `standfast member add {me}` on a member, then "
        "start it. Else disable its service."
    ),
    LeaveReason.ELSEWHERE: (
        "The cluster has the member {me!r} at another address, or in another role, than this machine's cluster file: "
        "another machine took its place. Compare with `standfast status` on another member; if this machine is the "
        "member, correct its cluster file, or give the order `standfast member replace {me}`. Else disable its service."
    ),
}


def farewell(reason: LeaveReason, me: str) -> StandfastError | None:
    """What a daemon that ended for this reason ends with; None: nothing is wrong."""
    if reason in _NOT_A_MEMBER:
        return NotAMember(_NOT_A_MEMBER[reason].format(me=me))
    if reason is LeaveReason.NAMESAKE:
        return StateError(
            f"Another machine joined as member {me!r}, so this one has stopped. Give each machine its own name in the "
            f"cluster file, and do not copy state directories between machines."
        )
    return None


async def first_end(runtime: Runtime, work: list[asyncio.Task[None]]) -> None:
    """Wait until the core has left; when a part fails for good, let the core leave and raise why."""
    waited: set[asyncio.Future[Any]] = {runtime.left, *work}
    failure: BaseException | None = None
    while failure is None and not runtime.left.done():
        ended, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        failure = next((why for one in ended - {runtime.left} if (why := one.exception()) is not None), None)
    if failure is not None:
        _log.error("the member must end: %s", _root(failure))
        await runtime.leave()
    reason = await runtime.left
    if failure is not None:
        raise _root(failure)
    if (why := farewell(reason, runtime.core.me)) is not None:
        raise why


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _root(failure: BaseException) -> BaseException:
    """The one failure inside a task group's bundle."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
