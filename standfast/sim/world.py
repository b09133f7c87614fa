"""The virtual clock, the agenda of what is still to happen, and the record of what happened.

Everything random comes from `rng`, everything in time from `at`: the same seed gives the same run, event by event.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


class Broken(Exception):  # noqa: N818 - a finding, not a mistake
    """A promise was seen broken; `promise` names it."""

    def __init__(self, promise: str, how: str) -> None:
        super().__init__(f"{promise}: {how}")
        self.promise = promise
        self.how = how


class World:
    """Time (nanoseconds since the run began), chance and memory of one run.

    `chance`: a seed, or a source of chance of one's own; `tell`: keep a line for each event.
    """

    __slots__ = ("_agenda", "_count", "coverage", "lines", "now_ns", "rng")

    def __init__(self, chance: int | str | random.Random, *, tell: bool) -> None:
        self.now_ns = 0
        self.rng = chance if isinstance(chance, random.Random) else random.Random(chance)
        self.coverage: Counter[str] = Counter()
        self.lines: list[tuple[int, str, str]] | None = [] if tell else None
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when_ns: int, do: Callable[..., None], *given: Any) -> None:
        """Call `do(*given)` at a moment; what is due at the same moment happens in the order it was asked for."""
        self._count += 1
        heapq.heappush(self._agenda, (when_ns, self._count, do, given))

    def after(self, delay_ns: int, do: Callable[..., None], *given: Any) -> None:
        """Call `do(*given)` that long from now."""
        self.at(self.now_ns + delay_ns, do, *given)

    def run_until(self, end_ns: int) -> None:
        """Let everything happen that is due until then; raises Broken."""
        agenda = self._agenda
        pop = heapq.heappop
        while agenda and agenda[0][0] <= end_ns:
            self.now_ns, _, do, given = pop(agenda)
            do(*given)
        self.now_ns = end_ns

    def say(self, who: str, what: str) -> None:
        """Keep a line for the transcript, if there is one."""
        if self.lines is not None:
            self.lines.append((self.now_ns, who, what))

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens now."""
        return self.rng.random() < probability

    def between(self, low: int, high: int) -> int:
        """A number between two, both included."""
        return low + int(self.rng.random() * (high - low + 1))
