"""Takeovers, moves and restarts, made from the event log. Pure: values in, values out."""

from collections.abc import Iterable

from msgspec import Struct, structs

from standfast.member.control_protocol import EventLine
from standfast.model.events import EventKind
from standfast.quorum.signals import Verdict

AFTER_MS = 2_000
"""An eviction longer ago than this did not lead to the takeover."""
_RESTART = "restarted in place"


class Takeover(Struct, frozen=True):
    """One start of a queue manager by an owner.

    Attributes:
        at_unix_ms: when it was assigned or, of a restart, when it failed; wall-clock of the member that wrote it.
        qm: the queue manager.
        was: the owner before; None for none.
        owner: the owner.
        epoch: under which it runs.
        why: why it was assigned.
        took_ms: from the owner's start of it until it answered, on the owner's own clock; None when it never did.
        noticed_ms: from the last doubt about the owner before until it was assigned, by the clocks of whoever told;
            None where no eviction led to it.
        by: who ordered it, as the log says; empty where nobody did.
        planned: whether it was handed over, by a move, a drain or a clean stop.
    """

    at_unix_ms: int
    qm: str
    was: str | None
    owner: str
    epoch: int
    why: str
    took_ms: float | None = None
    noticed_ms: int | None = None
    by: str = ""
    planned: bool = False


def takeovers(lines: Iterable[EventLine]) -> list[Takeover]:
    """From events, oldest first. A start that failed and was tried again in place is a line of its own."""
    found: list[Takeover] = []
    open_at: dict[str, int] = {}
    owners: dict[str, str] = {}
    doubts, orders = _Doubts(), _Orders()
    for line in lines:
        doubts.heed(line)
        orders.heed(line)
        qm, fields = line.subject, line.fields
        owner, epoch = str(fields.get("owner") or "?"), int(fields.get("epoch") or 0)
        if line.kind == EventKind.QM_ASSIGNED:
            was = str(fields.get("was") or "") or owners.get(qm)
            why = str(fields.get("reason") or "")
            open_at[qm] = len(found)
            noticed_ms = doubts.until(line.at_unix_ms, was) if was != owner else None
            found.append(Takeover(line.at_unix_ms, qm, was, owner, epoch, why, noticed_ms=noticed_ms))
            owners[qm] = owner
        elif line.kind == EventKind.QM_FAILED:
            why = f"{_RESTART}: {fields.get('code') or ''}"
            open_at[qm] = len(found)
            found.append(Takeover(line.at_unix_ms, qm, owner, owner, epoch, why))
        elif line.kind == EventKind.QM_RUNNING and qm in open_at and found[open_at[qm]].epoch == epoch:
            at = open_at.pop(qm)
            took_ms = float(fields.get("claim_ms") or 0) + float(fields.get("start_ms") or 0)
            moved, by = orders.behind(found[at])
            planned = moved and found[at].noticed_ms is None
            found[at] = structs.replace(found[at], took_ms=took_ms, planned=planned, by=by)
    return found


class _Orders:
    """Moves that are under way, and who ordered what last: an order is told when its first step is in the log."""

    def __init__(self) -> None:
        self._moving: dict[str, EventLine] = {}
        self._given: dict[tuple[str, str], EventLine] = {}

    def heed(self, line: EventLine) -> None:
        """One event, whatever it is."""
        if line.kind == EventKind.QM_MOVING:
            self._moving[line.subject] = line
        elif line.kind == EventKind.ORDER_GIVEN and line.fields.get("verdict") == Verdict.DONE:
            self._given[str(line.fields.get("order")), line.subject] = line

    def behind(self, takeover: Takeover) -> tuple[bool, str]:
        """Whether a move ends with that takeover, and who ordered it."""
        moving = self._moving.pop(takeover.qm, None)
        if moving is None or takeover.was in {None, takeover.owner} or moving.fields.get("to") != takeover.owner:
            return False, ""
        for order, subject in (("move", takeover.qm), ("drain", takeover.was)):
            given = self._given.get((order, str(subject)))
            if given is not None and given.revision > moving.revision:
                return True, str(given.fields.get("by") or "")
        return True, ""


class _Doubts:
    """When members fell into doubt, and which of them were evicted then."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._evicted: dict[str, tuple[int, int]] = {}

    def heed(self, line: EventLine) -> None:
        """One event, whatever it is."""
        if line.kind in {EventKind.MEMBER_IN_DOUBT, EventKind.MEMBER_TOLD_TO_GO}:
            self._since[line.subject] = line.at_unix_ms
        elif line.kind == EventKind.MEMBER_EVICTED and line.subject in self._since:
            self._evicted[line.subject] = (self._since[line.subject], line.at_unix_ms)

    def until(self, at_unix_ms: int, member: str | None) -> int | None:
        """From the doubt about a member to that time; None when its eviction is not what led to it."""
        since, evicted = self._evicted.get(member or "", (0, 0))
        return at_unix_ms - since if 0 <= at_unix_ms - evicted <= AFTER_MS else None
