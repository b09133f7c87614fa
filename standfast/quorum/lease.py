"""The lease: a member's right to run its queue managers, held by itself from what voters acknowledged.

Guarantees: the end it gives is at most one term after the sending of a heartbeat that a majority acknowledged,
on this member's own clock. It never moves back.

Not guaranteed: that the member still runs at that moment. A frozen machine wakes up after its lease has ended;
the warden and the storage's epoch stand behind it.

Assumes: a clock that counts suspended time, with a rate less than 1 % away from any voter's.
"""

from standfast.quorum.rules import Rules


class Lease:
    """Ends of the grants of all other voters; the member's own voice always counts."""

    __slots__ = ("_ends", "_from_ns", "_rules", "end_ns", "prolonged_ns")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._ends: dict[str, int] = {}
        self._from_ns = 0
        self.end_ns = 0
        self.prolonged_ns = 0
        """Until when an override lets queue managers run without a majority, in nanoseconds; 0: there is none."""

    @property
    def held_ns(self) -> int:
        """Until when queue managers may run: by the lease, or by an override."""
        return max(self.end_ns, self.prolonged_ns)

    def acknowledged(self, voter: str, sent_ns: int, term_ns: int) -> bool:
        """Note a grant counted from the *sending* of the heartbeat; whether the lease got longer.

        Only who votes counts: a machine that was removed may not know it yet.
        """
        if voter not in self._rules.bits:
            return False
        end = sent_ns + term_ns
        if sent_ns < self._from_ns or self._ends.get(voter, 0) >= end:
            return False
        self._ends[voter] = end
        needed = self._rules.majority - 1  # beside its own voice
        if len(self._ends) < needed:
            return False
        majority_end = sorted(self._ends.values(), reverse=True)[needed - 1]
        if majority_end <= self.end_ns:
            return False
        self.end_ns = majority_end
        return True

    def adopted(self) -> None:
        """Other settings are in force: only those who still vote count from now on. The end stays what it is."""
        self._ends = {voter: end for voter, end in self._ends.items() if voter in self._rules.bits}

    def begin_again(self, from_ns: int = 0) -> None:
        """Forget every grant: to an earlier incarnation, or for what was sent before `from_ns` and counts no more."""
        self._from_ns = max(self._from_ns, from_ns)
        self._ends.clear()
        self.end_ns = 0

    def inherit(self, end_ns: int) -> None:
        """A former process of this member held it until then, by what voters had acknowledged to that one."""
        self.end_ns = end_ns

    def carry_on(self) -> None:
        """A new incarnation goes on where a former one was: each grant is asked for anew, what is held stays held.

        Voters count their grants by the member's name: whoever votes for its end has waited for these too.
        """
        self._ends.clear()
