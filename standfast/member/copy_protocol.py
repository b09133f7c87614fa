"""What DRBD's handlers say to the member on their machine, over the control socket."""

from msgspec import Struct


class LostCopy(Struct, frozen=True, tag_field="do", tag="lost_copy"):
    """DRBD has lost the other copy of this queue manager's data and holds back writes; answered by OrderResult.

    Attributes:
        qm: the queue manager.
        back: it is the other way round: the copy is in sync again.
    """

    qm: str
    back: bool = False
