"""Who runs what: `place(...)` chooses an owner among those that could take a queue manager.

Order of comparison, first difference wins: the queue manager's own preference; fewest queue managers already there;
name. Nothing is moved by it: it is only asked about queue managers that have no living owner.
"""

from collections.abc import Iterable, Mapping

from standfast.model.cluster import QueueManagerSpec, Role
from standfast.model.records import Assignment, MemberState
from standfast.model.view import View

ALL = "*"


class Candidate:
    """A data member that holds a lease, as the chooser sees it; `unfit`: what it could not run."""

    __slots__ = ("load", "name", "unfit")

    def __init__(self, name: str, unfit: Iterable[str]) -> None:
        self.name = name
        self.unfit = frozenset(unfit)
        self.load = 0


def candidates(view: View, leased: Mapping[str, tuple[str, ...]]) -> dict[str, Candidate]:
    """Members that may be given something: data, online, not drained, with a lease. `leased`: name -> unfit list."""
    drained = view.orders.record.drained
    found = {
        name: Candidate(name, leased[name])
        for name, kept in view.members.items()
        if kept.record.role is Role.DATA
        and kept.record.state is MemberState.ONLINE
        and name in leased
        and name not in drained
        and ALL not in leased[name]
    }
    for kept_assignment in view.assignments.values():
        owner = found.get(kept_assignment.record.owner or "")
        if owner is not None:
            owner.load += 1
    return found


def place(
    spec: QueueManagerSpec, assignment: Assignment, among: Mapping[str, Candidate], without: str = ""
) -> Candidate | None:
    """The best candidate for one queue manager, or None. The caller raises its load when it uses the answer."""
    able = [
        c
        for c in among.values()
        if c.name != without and spec.name not in c.unfit and c.name not in assignment.failed_on
    ]
    if not able:
        return None
    order = {name: i for i, name in enumerate(spec.preferred)}
    return min(able, key=lambda c: (order.get(c.name, len(order)), c.load, c.name))
