"""A machine's own clock: an offset and a rate of its own, unchanged while the machine runs.

The rates of any two differ by less than 1 %, which is what design section 2 assumes: each lies within +-0.49 %.
"""

MAX_SKEW = 0.0049


class Clock:
    """Nanoseconds on one machine; `boot_ns` is the world's time at which it began."""

    __slots__ = ("_boot_ns", "_offset_ns", "_rate")

    def __init__(self, boot_ns: int, offset_ns: int, skew: float) -> None:
        self._boot_ns = boot_ns
        self._offset_ns = offset_ns
        self._rate = 1.0 + skew

    def local(self, world_ns: int) -> int:
        """This clock at a moment of the world."""
        return self._offset_ns + int((world_ns - self._boot_ns) * self._rate)

    def world(self, local_ns: int) -> int:
        """The first moment of the world at which this clock shows at least that."""
        moment = self._boot_ns + int((local_ns - self._offset_ns) / self._rate)
        while self.local(moment) < local_ns:
            moment += 1
        return moment
