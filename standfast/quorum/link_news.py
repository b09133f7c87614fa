"""What is told of this member's links: lost, healed; and of one that comes and goes, only that it does.

A link that was lost MOST times within a window counts as flapping: that is told once, and nothing more of it until it
has been quiet for a while; then what it is now. Only events depend on it, and how soon the coordinator doubts.
"""

from collections.abc import Iterator

from standfast.model.events import Event, EventKind
from standfast.quorum.hearing import Hearing
from standfast.quorum.rules import Rules

MOST = 3
WINDOW_TERMS = 40
QUIET_TERMS = 20
"""Losses within 100 s, and 50 s without a change, under the profile `normal`."""


class LinkNews:
    """Of member `me`."""

    __slots__ = ("_changed_ns", "_hearing", "_losses_ns", "_me", "_rules", "flapping")

    def __init__(self, me: str, rules: Rules, hearing: Hearing) -> None:
        self._me = me
        self._rules = rules
        self._hearing = hearing
        self._losses_ns: dict[str, list[int]] = {}
        self._changed_ns: dict[str, int] = {}
        self.flapping: set[str] = set()
        """Members whose link to this one comes and goes."""

    def look(self, now_ns: int) -> Iterator[Event]:
        """What is to tell now."""
        for name, heard in self._hearing.changes(now_ns):
            self._changed_ns[name] = now_ns
            if name not in self.flapping:
                yield self._changed(name, now_ns, heard=heard)
        if self.flapping:
            yield from self._quiet(now_ns)

    def _changed(self, name: str, now_ns: int, *, heard: bool) -> Event:
        if heard:
            return self._event(EventKind.LINK_HEALED, name)
        oldest_ns = now_ns - WINDOW_TERMS * self._rules.term_ns
        losses_ns = [at_ns for at_ns in self._losses_ns.get(name, ()) if at_ns >= oldest_ns]
        self._losses_ns[name] = [*losses_ns, now_ns]
        if len(losses_ns) + 1 < MOST:
            return self._event(EventKind.LINK_LOST, name)
        self.flapping.add(name)
        return self._event(EventKind.LINK_FLAPPING, name)

    def _quiet(self, now_ns: int) -> Iterator[Event]:
        for name in sorted(self.flapping):
            if now_ns - self._changed_ns[name] >= QUIET_TERMS * self._rules.term_ns:
                self.flapping.discard(name)
                del self._losses_ns[name]
                heard = self._hearing.hears(name, now_ns)
                yield self._event(EventKind.LINK_HEALED if heard else EventKind.LINK_LOST, name)

    def _event(self, kind: EventKind, name: str) -> Event:
        return Event(kind=kind, subject=name, fields={"seen_by": self._me})
