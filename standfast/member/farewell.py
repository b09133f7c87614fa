"""Why a member that has ended must not simply be started again, and what to do instead."""

from standfast.errors import NotAMember, StandfastError, StateError
from standfast.quorum.signals import LeaveReason

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
