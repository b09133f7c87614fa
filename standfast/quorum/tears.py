"""Links between members that are torn, as those members say themselves, and for how long.

A link is torn when one of its ends says that it does not hear the other. It counts as lost when it was torn without a
break for a term: a cut that comes and goes faster than that decides nothing.
"""

from collections.abc import Mapping

from standfast.quorum.rules import Rules

Pair = tuple[str, str]


class Tears:
    """As seen by one member."""

    __slots__ = ("_rules", "_since_ns")

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._since_ns: dict[Pair, int] = {}

    def forgive(self) -> None:
        """This member was not listening until now: count afresh."""
        self._since_ns.clear()

    def watch(self, ears: Mapping[str, int], now_ns: int) -> None:
        """Take note of who hears whom: the masks of all members whose word is fresh."""
        bits = self._rules.bits
        everyone = sum(bits[name] for name in ears)
        if all(mask & everyone == everyone for mask in ears.values()):
            self._since_ns.clear()
            return
        names = sorted(ears)
        torn = {
            (one, other)
            for i, one in enumerate(names)
            for other in names[i + 1 :]
            if not ears[one] & bits[other] or not ears[other] & bits[one]
        }
        self._since_ns = {pair: self._since_ns.get(pair, now_ns) for pair in torn}

    def linked(self, names: Mapping[str, object], now_ns: int) -> dict[str, frozenset[str]]:
        """Whom each of these hears and is heard by; a link that was torn for less than a term still counts."""
        lost = {pair for pair, since_ns in self._since_ns.items() if now_ns - since_ns >= self._rules.term_ns}
        return {
            name: frozenset(
                other for other in names if other != name and (name, other) not in lost and (other, name) not in lost
            )
            for name in names
        }
