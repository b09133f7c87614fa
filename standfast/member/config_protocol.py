"""The part of the control protocol that shows the configuration in force."""

from msgspec import Struct

from standfast.model.cluster import Cluster


class ConfigReport(Struct, frozen=True, kw_only=True, tag_field="is", tag="config"):
    """The answer to ShowConfig.

    Attributes:
        cluster: all that is in force, queue managers by name.
        edition: how often operators have changed it.
        founded: whether the store holds it yet; else it is the cluster file's.
        term_ceiling_ms: the longest lease that a member may still hold; above the one in force while a change settles.
        waited_for: members of whom the answering one does not know yet that they go by it.
        file_differs: whether the answering member's cluster file says something else.
    """

    cluster: Cluster
    edition: int
    founded: bool
    term_ceiling_ms: int
    waited_for: tuple[str, ...] = ()
    file_differs: bool = False
