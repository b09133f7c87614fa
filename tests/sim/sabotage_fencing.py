"""Planted bugs of fencing: they show where machines that die may still write."""

from tests.sim.sabotage import Edit, Sabotage

OF_FENCING = (
    Sabotage(
        "nobody is fenced before a start",
        (Edit("quorum/fencing.py", "if n in known and at_large(", "if False and at_large("),),
        about="fencing",
    ),
    Sabotage(
        "a fencing that failed counts as done",
        (
            Edit(
                "quorum/fencing.py",
                "        if given.done:\n            self._done",
                "        if True:\n            self._done",
            ),
        ),
        about="fencing",
    ),
    Sabotage(
        "a fencing of a former life counts for the present one",
        (Edit("quorum/fencing.py", "kept.record.fenced < kept.record.incarnation", "not kept.record.fenced"),),
        minutes=3.0,
        about="fencing",
    ),
    Sabotage(
        "the next owner but one does not know who may still write",
        (Edit("model/records.py", "return (*self.unproven, *(name", "return (*(), *(name"),),
        about="fencing",
    ),
    Sabotage(
        "a lapsed lease counts as the word of the former owner",
        (Edit("quorum/transactions.py", 'if fields.get("proof") == LAPSED else ()', "if False else ()"),),
        about="fencing",
    ),
    Sabotage(
        "who gets it later does not know whose it was",
        (
            Edit(
                "quorum/fencing.py",
                "if kept is not None and kept.record.state is MemberState.EVICTED else ()",
                "if False else ()",
            ),
        ),
        about="fencing",
    ),
)
