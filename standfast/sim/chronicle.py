"""What happens in a play, as values: each change of the store, each process, each thing a member tells."""

from enum import StrEnum

from msgspec import Struct, field

from standfast.model.events import Event, EventKind
from standfast.model.records import Transaction
from standfast.model.view import View
from standfast.sim.promises import Promises
from standfast.sim.warden import Process, Warden
from standfast.sim.world import NS_PER_MS, World

Detail = str | int | float | bool | None


class Deed(StrEnum):
    """What happens beside the events of the catalogue."""

    LOST = "lost"  # a member dies with everything on it
    CUT = "cut"  # what `subject` sends reaches `to` no more
    STOPS = "stops"  # a member begins to stop a queue manager
    ENDED = "ended"  # no process of it is left
    STARTS = "starts"  # its process begins


class Line(Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Attributes:
        at_ms: milliseconds since the play's beginning.
        kind: a Deed, or an event of the catalogue.
        subject: the member or queue manager that it is about.
        by: the member that does it or tells it; empty for what the store holds.
        fields: details by name.
    """

    at_ms: float
    kind: Deed | EventKind
    subject: str
    by: str = ""
    fields: dict[str, Detail] = field(default_factory=dict)


class Chronicle:
    """Writes down what happens, and has the promises checked on the way; raises Broken as they do."""

    def __init__(self, world: World, promises: Promises) -> None:
        self._world = world
        self._promises = promises
        self._began_ns = 0
        self.lines: list[Line] = []
        self.last_ns = 0
        """When something happened the last time, in the world's time."""

    def begin(self) -> list[Line]:
        """Count the time from now; what was written down before is handed out."""
        before, self.lines = self.lines, []
        self._began_ns = self.last_ns = self._world.now_ns
        return before

    def note(self, kind: Deed | EventKind, subject: str, by: str = "", **fields: Detail) -> None:
        """Something happens now."""
        self._write(kind, subject, by, fields)

    def _write(self, kind: Deed | EventKind, subject: str, by: str, fields: dict[str, Detail]) -> None:
        self.last_ns = self._world.now_ns
        at_ms = round((self._world.now_ns - self._began_ns) / NS_PER_MS, 3)
        self.lines.append(Line(at_ms=at_ms, kind=kind, subject=subject, by=by, fields=fields))

    def told(self, event: Event, by: str) -> None:
        """An event that a member alone can tell."""
        self._write(event.kind, event.subject, by, event.fields)

    def committed(self, transaction: Transaction, before: View, after: View) -> None:
        """The store has changed."""
        for event in transaction.events:
            self._write(event.kind, event.subject, "", event.fields)
        self._promises.committed(transaction, before, after)

    def began(self, process: Process, warden: Warden) -> None:
        """A process exists from now on."""
        self.note(Deed.STARTS, process.qm, process.member, epoch=process.epoch)
        self._promises.began(process, warden)

    def renewed(self, member: str, incarnation: int, left_ns: int) -> None:
        """A member's lease lasts so much longer now."""
        self._promises.renewed(member, incarnation, left_ns)

    def stamp(self, qm: str, *, by_override: bool) -> int:
        """The largest epoch under which its storage was claimed at all, or by an override."""
        return self._promises.stamp(qm, by_override=by_override)

    def ended(self, process: Process) -> None:
        """Nothing of it is left."""
        self.note(Deed.ENDED, process.qm, process.member, epoch=process.epoch)
        self._promises.ended(process)
