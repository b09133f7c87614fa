"""The member's dealings with the store: its view, the one read and the transactions under way.

Guarantees: at most one transaction per tag is under way; one that was not committed is not asked for again before the
store has been read or an interval has passed; nothing is ever repeated by itself: every decision is made anew from
the view.
"""

from collections.abc import Iterator

from standfast.model.records import Outcome, Transaction
from standfast.model.view import View
from standfast.quorum.rules import Rules
from standfast.quorum.signals import Read, Transact


class Desk:
    """Reads once a term without cause, and an interval after a failure."""

    __slots__ = (
        "_asked_ns",
        "_held_back",
        "_read_at_ns",
        "_reading",
        "_rules",
        "_wanted",
        "ok",
        "pending",
        "read_asked_ns",
        "view",
    )

    def __init__(self, rules: Rules, now_ns: int) -> None:
        self._rules = rules
        self.view = View()
        self.ok = False
        """Whether the store answered the last time."""
        self.read_asked_ns: int | None = None
        """When the last read that was answered was asked for; None before the first."""
        self._asked_ns = now_ns
        self.pending: dict[str, Transaction] = {}
        self._held_back: dict[str, int] = {}
        self._reading = False
        self._wanted = True
        self._read_at_ns = now_ns

    def want(self) -> None:
        """Something newer is known to be there: read as soon as no read is under way."""
        self._wanted = True

    def want_soon(self, now_ns: int) -> None:
        """Something may be newer: read within an interval."""
        self._read_at_ns = min(self._read_at_ns, now_ns + self._rules.interval_ns)

    def confirm(self) -> None:
        """A member without a lease is confirmed as the voter of its name by its reads alone: read twice as often."""
        self._read_at_ns = min(self._read_at_ns, self._asked_ns + self._rules.term_ns // 2)

    def reads(self, now_ns: int) -> Iterator[Read]:
        """The read that is due now, if any."""
        if (self._wanted or now_ns >= self._read_at_ns) and not self._reading:
            self._wanted = False
            self._reading = True
            self._asked_ns = now_ns
            yield Read()

    def was_read(self, view: View, now_ns: int) -> None:
        """A read has finished. What was committed after it was answered is kept."""
        self._reading = False
        self.ok = True
        self.read_asked_ns = self._asked_ns
        complete = view.revision >= self.view.newest
        self.view = view if complete else self.view.merged(view.revision, view.records())
        self._read_at_ns = now_ns + self._rules.term_ns
        self._held_back.clear()

    def read_failed(self, now_ns: int) -> None:
        """No answer: ask again in a while."""
        self._reading = self._wanted = self.ok = False
        self._read_at_ns = now_ns + self._rules.interval_ns

    def admit(self, effect: Transact, now_ns: int) -> bool:
        """Whether this transaction may be sent now; it counts as under way from here on."""
        if effect.tag in self.pending or self._held_back.get(effect.tag, 0) > now_ns:
            return False
        self.pending[effect.tag] = effect.transaction
        return True

    def ended(self, tag: str, outcome: Outcome, revision: int, now_ns: int) -> Transaction:
        """Note the end of a transaction; a committed one is in the view at once."""
        transaction = self.pending.pop(tag)
        self.ok = outcome is not Outcome.UNKNOWN
        if outcome is Outcome.COMMITTED:
            self.view = self.view.merged(0, ((put.key, put.record, revision) for put in transaction.puts))
        else:
            self._held_back[tag] = now_ns + self._rules.interval_ns
            self._wanted = True
        return transaction
