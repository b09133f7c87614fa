"""What a launch asks of a DRBD device: read in the warden, which loads nothing that starts programs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from standfast.storage.directory import Claim


class DrbdClaim(NamedTuple):
    """What a launch asks of its device.

    Attributes:
        claim: of the directory on it.
        minor: of the device.
        filesystem: on it.
    """

    claim: Claim
    minor: int
    filesystem: str

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "DrbdClaim":
        """From a JSON object; raises KeyError, TypeError, ValueError for a missing or wrong field."""
        return cls(Claim.parse({**fields, "mount": True}), int(fields["minor"]), str(fields["filesystem"]))
