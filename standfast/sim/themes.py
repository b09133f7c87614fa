"""Themes: what a run is about. Faults of all kinds at once drown each other; most runs have one theme, or two.

Beside its themes every run has the faults of every day: cuts, crashes, pauses, a store that is away or slow.
"""

import random

from standfast.sim.disk_faults import DISK_FAULTS
from standfast.sim.faults import FAULTS
from standfast.sim.hop_faults import HOP_FAULTS

THEMES: dict[str, frozenset[str]] = {
    "machines": frozenset({"empty disk", "namesake", "namesake behind a cut"}),
    "queue managers": frozenset({"crash queue manager", "hang queue manager", "crash loop", "unfit"}),
    "operators": frozenset({"move", "drain", "undrain", "clear", "window", "freeze", "thaw", "leave"}),
    "links": frozenset({"lose link", "flap", *HOP_FAULTS}),
    "disk": frozenset({"namesake beside the disk", *DISK_FAULTS}),
    "settings": frozenset({"retime", "reconfigure"}),
    "override": frozenset({"override", "end override", "ask for override"}),
    "fencing": frozenset({"crash owner", "confirm fenced"}),
    "voters": frozenset({"add member", "remove member", "replace member", "hasty growth"}),
}
"""The faults of each; a fault is of one theme at most."""
EVERYDAY = "everyday"
"""The theme of a run that has none."""
HOW_MANY = (1, 1, 1, 1, 2, 2, len(THEMES))
"""Themes of a run are as many as one of these, each as likely."""


def themes(rng: random.Random) -> frozenset[str]:
    """Those of one run."""
    return frozenset(rng.sample(sorted(THEMES), rng.choice(HOW_MANY)))


def weights(rng: random.Random, chosen: frozenset[str]) -> dict[str, float]:
    """Of each kind of fault: none for those of other themes; of the others each may be left out, too."""
    other = frozenset().union(*(faults for theme, faults in THEMES.items() if theme not in chosen))
    return {name: 0.0 if name in other else rng.choice([0, 0, 1, 1, 3]) * weight for name, weight in FAULTS.items()}
