"""Planted bugs of groups: they show where queue managers must stay together, or apart."""

from tests.sim.sabotage import Edit, Sabotage

OF_GROUPS = (
    Sabotage(
        "a strict apart counts for nothing",
        (Edit("quorum/ties.py", "return self.apart(qm, member) and (", "return ("),),
        about="groups",
    ),
    Sabotage(
        "a strict together counts for nothing",
        (Edit("quorum/ties.py", "and (not homes or member in homes)", "and True"),),
        about="groups",
    ),
    Sabotage(
        "who gives one of a group away does not guard the others",
        (
            Edit(
                "quorum/ties.py",
                "        for name in self.bound(qm):\n            kept",
                "        for name in ():\n            kept",
            ),
        ),
        minutes=3.0,
        about="groups",
    ),
    Sabotage(
        "one of a group moves away from the others",
        (Edit("quorum/ties.py", "return tuple(sorted({qm, *mates})) if self else (qm,)", "return (qm,)"),),
        about="groups",
    ),
    Sabotage(
        "a group does not follow one of it that can not run where it is",
        (Edit("quorum/removal.py", "if chosen is not None and chosen.sound:", "if False:"),),
        about="groups",
    ),
    Sabotage(
        "a group that is not held is not told",
        (
            Edit(
                "quorum/distribution.py", "        if found != said:\n", "        if found != said and qm in waiting:\n"
            ),
        ),
        about="groups",
    ),
    Sabotage(
        "why one of a group is down is not told",
        (Edit("quorum/distribution.py", "waiting[qm] = _why_down(view, held, candidates, ties)", "pass"),),
        about="groups",
    ),
)
