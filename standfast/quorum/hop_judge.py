"""Whether a member's next hop counts as found or lost, from rounds of pings: steadily, so that nothing thrashes.

states, and what moves between them::

    unknown ---answer--> found ---missed in a row--> lost ---as many answers in a row--> returning
       |                   ^                         ^ ^                                  |    |
       +------missed-------|-------------------------+ +------------missed----------------+    |
                           +-------------------------found in a row----------------------------+

One that was lost again and again must answer for longer each time: twice as many rounds, up to 32 times.
"""

from standfast.model.messages import Hop

MOST_DOUBLINGS = 5
FORGET_FOUND = 100
"""Earlier losses are forgotten after this many times `found` rounds without one."""


class HopJudge:
    """Of one member."""

    __slots__ = ("_answers", "_losses", "_misses", "_since", "state")

    def __init__(self) -> None:
        self.state = Hop.UNKNOWN
        self._misses = 0
        self._answers = 0
        self._losses = 0
        self._since = 0

    def round(self, missed: int, found: int, *, answered: bool) -> Hop:
        """Take one round of pings; `missed` and `found` as in the policy. The state after it."""
        self._answers = self._answers + 1 if answered else 0
        self._misses = 0 if answered else self._misses + 1
        self._since += 1
        if self._misses >= missed:
            self._lose()
        elif self.state is Hop.UNKNOWN and answered:
            self.state = Hop.FOUND
        elif self.state is Hop.LOST and self._answers >= missed:
            self.state = Hop.RETURNING
        if self.state is Hop.RETURNING and self._answers >= found << min(max(self._losses - 1, 0), MOST_DOUBLINGS):
            self.state = Hop.FOUND
        if self.state is Hop.FOUND and self._since >= FORGET_FOUND * found:
            self._losses = 0
        return self.state

    def _lose(self) -> None:
        if self.state is not Hop.LOST:
            self._losses += self.state is not Hop.UNKNOWN
            self._since = 0
        self.state = Hop.LOST
