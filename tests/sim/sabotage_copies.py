"""Planted bugs that show only where data are replicated."""

from tests.sim.sabotage import Edit, Sabotage

OF_COPIES = (
    Sabotage(
        "an outdated copy is eligible",
        (
            Edit(
                "quorum/placement.py",
                "assignment.qm not in self.unfit and self.name not in assignment.outdated",
                "assignment.qm not in self.unfit",
            ),
        ),
        copies=True,
    ),
    Sabotage(
        "writes go on before the store was asked",
        (
            Edit(
                "quorum/reception.py",
                "isinstance(order, Outdate) and self._ordered.in_force",
                "isinstance(order, Outdate)",
            ),
        ),
        copies=True,
    ),
    Sabotage(
        "a copy counts as current by an old look",
        (Edit("quorum/copies.py", "if order.revision != kept.revision:", "if False:"),),
        copies=True,
    ),
    Sabotage(
        "a copy that is outdated already is not said to be so again",
        (
            Edit(
                "quorum/copies.py",
                "    if isinstance(order, Refresh):\n",
                "    if isinstance(order, Outdate) and order.member in a.outdated:\n        return Verdict.DONE\n"
                "    if isinstance(order, Refresh):\n",
            ),
        ),
        copies=True,
    ),
    Sabotage(
        "who is no owner any more says what is outdated",
        (Edit("quorum/copies.py", "(a.owner, a.incarnation) != (mine.me, mine.incarnation)", "a.owner is None"),),
        copies=True,
    ),
)
