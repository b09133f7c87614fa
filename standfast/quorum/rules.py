"""The cluster as it is in force for one member: who votes, and every timer, in nanoseconds.

Every part of the member's core holds this same object and reads it anew each time, so that they can not differ in what
they go by.
"""

from standfast.model.cluster import Cluster


class Rules:
    """What `cluster` says, as the parts of a core need it."""

    __slots__ = (
        "bits",
        "cluster",
        "in_doubt_ns",
        "interval_ns",
        "kill_ns",
        "majority",
        "names",
        "rank",
        "stop_ns",
        "term_ns",
    )

    def __init__(self, cluster: Cluster) -> None:
        self.adopt(cluster)

    def adopt(self, cluster: Cluster) -> None:
        """Go by this from now on."""
        timing = cluster.timing
        self.cluster = cluster
        self.names = tuple(sorted(m.name for m in cluster.members))
        self.bits = {name: 1 << i for i, name in enumerate(self.names)}
        """Of each member in the masks of heartbeats."""
        self.majority = cluster.majority
        self.rank = cluster.rank
        self.interval_ns = timing.interval_ns
        self.in_doubt_ns = timing.in_doubt_ns
        self.term_ns = timing.term_ns
        self.stop_ns = timing.stop_ns
        self.kill_ns = timing.kill_ns
