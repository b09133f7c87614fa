"""How reading of a shared disk stands, or writing: since when it works, or why it does not. Does nothing itself."""

import asyncio

from msgspec import Struct

from standfast.links.disk_io import DiskState, DiskTrouble, Hand
from standfast.ports import boottime_ns


class SideView(Struct, frozen=True, kw_only=True):
    """How reading or writing stands. Moments are CLOCK_BOOTTIME of this process.

    Attributes:
        state: see DiskState.
        since_ns: when this state began; for STALLED, when the call began that hangs.
        detail: what exactly was met, for people.
        took_ns: how long the last good call took.
        pid: of the helper; 0 when there is none now.
    """

    state: DiskState
    since_ns: int
    detail: str = ""
    took_ns: int = 0
    pid: int = 0


class Side:
    """Reading, or writing.

    Attributes:
        hand: the helper that does it now.
        judged: set once it is known whether it works.
        trouble: why it does not work; None while it does.
    """

    def __init__(self) -> None:
        self.hand: Hand | None = None
        self.judged = asyncio.Event()
        self.trouble: DiskTrouble | None = None
        self._state = DiskState.OPENING
        self._since_ns = boottime_ns()
        self._took_ns = 0

    def fine(self, took_ns: int = 0) -> None:
        """A call ended well after so long; 0: not told."""
        self._turn(DiskState.OK, boottime_ns())
        self.trouble = None
        self._took_ns = took_ns or self._took_ns

    def fail(self, trouble: DiskTrouble) -> None:
        """It does not work for this reason."""
        hung_ns = self.hand.busy_since_ns if self.hand else 0
        self._turn(trouble.state, hung_ns or boottime_ns())
        self.trouble = trouble

    def _turn(self, state: DiskState, since_ns: int) -> None:
        if state is not self._state:
            self._state, self._since_ns = state, since_ns
        self.judged.set()

    def view(self, now_ns: int, stalled_after_ns: int) -> SideView:
        """How it stands; a call that is under way for longer than that counts as stalled."""
        state, since_ns = self._state, self._since_ns
        hung_ns = self.hand.busy_since_ns if self.hand else 0
        if hung_ns and now_ns - hung_ns > stalled_after_ns and state is not DiskState.STALLED:
            state, since_ns = DiskState.STALLED, hung_ns
        return SideView(
            state=state,
            since_ns=since_ns,
            detail=self.trouble.detail if self.trouble else "",
            took_ns=self._took_ns,
            pid=self.hand.pid if self.hand else 0,
        )
