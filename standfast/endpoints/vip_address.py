r"""One virtual IP on one machine: asked for, taken, announced, defended, given up.

::

    asking ---nobody answered---> held ---given up, or the lease is short---> gone
      ^  \--- somebody did ---> contested ---after RETRY_NS---/ (asks again)

Times are CLOCK_BOOTTIME in nanoseconds. Standard library only.
"""

import contextlib
import ipaddress
import socket
import time
from enum import StrEnum

from standfast.endpoints import vip_netlink as kernel
from standfast.endpoints.vip_frames import Wire

MS = 1_000_000
S = 1_000_000_000
PROBES_NS = (0, 20 * MS, 40 * MS)
"""When it is asked who has the address, counted from the wish for it."""
DECIDE_NS = 60 * MS
"""When silence is taken for "nobody". Shorter than RFC 5227's seconds: the owner of the lease is alone by the store, so
that only a stranger can answer, and one that lives on the same wire answers within milliseconds."""
RETRY_NS = 500 * MS
BURST_NS = (0, 50 * MS, 150 * MS, 400 * MS, S, 2 * S)
"""When it is announced after it was taken: an announcement may be lost, and some hosts heed one a second only."""
EVERY_NS = 10 * S
"""Pause between two announcements after that."""
DEFEND_NS = S
"""Least pause between two answers to a rival, so that two who both defend do not flood the wire."""
_ONCE_MORE = BURST_NS.index(S)
"""An answer to a rival is followed by the announcements of a burst from this one on: hosts that heed one a second have
just heeded the rival's."""
FORGET_NS = 30 * S
"""A rival that was not heard for so long is none any more."""
RENEW_NS = S // 2
"""Least pause between two renewals of the kernel's life-time."""
RESET_SHARE = 4
"""Connections are reset for at most a quarter of what is left of the lease."""


class Stage(StrEnum):
    """See the drawing at the top."""

    ASKING = "asking"
    CONTESTED = "contested"
    HELD = "held"
    FAILED = "failed"


class Address:
    """An address that this machine shall have; the bearer calls `tend` when `next_ns` has come.

    Attributes:
        stage: see Stage.
        trouble: why it was not had at the last try, a Stage and its detail (the rival's hardware address, or what the
            kernel said); None when it is held, or was not tried yet.
        rival: hardware address of another machine that was heard of late to claim it while it was held; empty: none.
    """

    def __init__(self, text: str, interface: str, now_ns: int) -> None:
        self.text = text
        self.address = ipaddress.ip_address(text)
        self._wanted = interface
        self.interface = ""
        self.stage = Stage.ASKING
        self.trouble: tuple[str, str] | None = None
        self.rival = ""
        self._rival_ns = 0
        self.wire: Wire | None = None
        self._index = 0
        self._since_ns = now_ns
        self._steps = 0
        self._defended_ns = 0
        self._renewed_ns = 0
        self._begin(now_ns)

    @property
    def next_ns(self) -> int:
        """When something is due."""
        match self.stage:
            case Stage.ASKING:
                after = PROBES_NS[self._steps] if self._steps < len(PROBES_NS) else DECIDE_NS
            case Stage.HELD:
                late = self._steps - len(BURST_NS) + 1
                after = BURST_NS[self._steps] if late <= 0 else BURST_NS[-1] + late * EVERY_NS
            case _:
                after = RETRY_NS
        return self._since_ns + after

    def tend(self, now_ns: int, stop_ns: int) -> bool:
        """Do what is due; whether there is news."""
        before = self.stage, self.trouble, self.rival
        if now_ns >= self.next_ns:
            match self.stage:
                case Stage.ASKING if self._steps < len(PROBES_NS):
                    self._steps += 1
                    self._probe(now_ns)
                case Stage.ASKING:
                    self._take(now_ns, stop_ns)
                case Stage.HELD:
                    self._steps += 1
                    self._announce()
                case _:
                    self._begin(now_ns)
        if self.rival and now_ns - self._rival_ns >= FORGET_NS:
            self.rival = ""
        return (self.stage, self.trouble, self.rival) != before

    def renew(self, now_ns: int, stop_ns: int) -> None:
        """The lease is longer: so may the kernel keep the address."""
        if self.stage is Stage.HELD and now_ns - self._renewed_ns >= RENEW_NS:
            self._renewed_ns = now_ns
            with contextlib.suppress(OSError):
                kernel.add(self.address, self._index, _whole_seconds(stop_ns - now_ns))

    def hear(self, address: kernel.IPAddress, sender: str, now_ns: int) -> bool:
        """Another machine says that it has this address; whether that is news."""
        if address != self.address:
            return False
        if self.stage is Stage.ASKING:
            self._enter(Stage.CONTESTED, now_ns, sender)
            return True
        if self.stage is not Stage.HELD:
            return False
        news, self.rival, self._rival_ns = self.rival != sender, sender, now_ns
        if now_ns - self._defended_ns >= DEFEND_NS:
            self._defended_ns = now_ns
            self._announce()
            self._since_ns, self._steps = now_ns, _ONCE_MORE
        return news

    def give_up(self, now_ns: int, end_ns: int) -> None:
        """Break its connections and remove it; a second call does nothing."""
        if self.stage is Stage.HELD:
            with contextlib.suppress(OSError):
                kernel.reset_connections(self.address, kernel.Deadline(now_ns + max(0, end_ns - now_ns) // RESET_SHARE))
            with contextlib.suppress(OSError):
                kernel.remove(self.address, self._index)
        self._enter(Stage.FAILED, now_ns, "given up")
        self.close()

    def close(self) -> None:
        """Listen no more."""
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def _begin(self, now_ns: int) -> None:
        """Find the interface and begin to ask."""
        try:
            self.interface = kernel.interface_for(self.address, self._wanted)
            self._index = socket.if_nametoindex(self.interface)
            kernel.refuse_lasting(self.address)
            if self.wire is None:
                self.wire = Wire(self.interface, self.address.version)
        except (OSError, LookupError) as error:
            self._enter(Stage.FAILED, now_ns, _said(error))
        else:
            self._enter(Stage.ASKING, now_ns)

    def _probe(self, now_ns: int) -> None:
        assert self.wire is not None
        try:
            self.wire.probe(self.address)
        except OSError as error:
            self._enter(Stage.FAILED, now_ns, _said(error))

    def _take(self, now_ns: int, stop_ns: int) -> None:
        try:
            kernel.add(self.address, self._index, _whole_seconds(stop_ns - now_ns))
        except OSError as error:
            self._enter(Stage.FAILED, now_ns, _said(error))
            return
        self._renewed_ns = now_ns
        self.rival = ""
        self._enter(Stage.HELD, now_ns)
        if time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= stop_ns:  # the kernel kept us waiting for too long
            self.give_up(now_ns, now_ns)

    def _announce(self) -> None:
        if self.wire is not None:
            self.wire.announce(self.address)

    def _enter(self, stage: Stage, now_ns: int, detail: str = "") -> None:
        self.stage = stage
        self._since_ns, self._steps = now_ns, 0
        if stage is Stage.HELD:
            self.trouble = None
        elif detail:
            self.trouble = (stage, detail)


def _whole_seconds(ns: int) -> int:
    return max(1, -(-ns // S))


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
