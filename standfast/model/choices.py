"""Words of a queue manager's specification that say where it may run."""

from enum import StrEnum


class Tie(StrEnum):
    """How much it counts that queue managers stay together, or apart."""

    STRICT = "strict"  # rather down than otherwise
    PREFERRED = "preferred"  # where there is a choice


class VersionRule(StrEnum):
    """Which versions of its program a member may have that is chosen for a queue manager."""

    NOT_OLDER = "not_older"  # than that of the last owner: data that a newer one wrote may be beyond it
    EQUAL = "equal"
    ANY = "any"
