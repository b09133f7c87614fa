"""One life of a daemon on a machine, and what waits for it while it is paused."""

from collections import deque
from typing import TYPE_CHECKING

from standfast.quorum import signals as sig
from standfast.quorum.core import Core
from standfast.sim.disk import DiskEnd
from standfast.sim.speech import Speech

if TYPE_CHECKING:
    from standfast.sim.machine import Machine

INBOX = 400
"""Datagrams and results that wait for a paused daemon; later datagrams are dropped, as by a full socket."""


class Daemon:
    """One life of a daemon: a core, and what waits for it while it is paused."""

    def __init__(self, home: "Machine", core: Core) -> None:
        self.core = core
        self.machine = home.id
        self.seen = 0
        self.paused = False
        self.inbox: deque[sig.Input] = deque()
        self.held: deque[sig.Effect] = deque()
        """Effects that were decided before a pause and not carried out yet."""
        self.alarm_ns = 0
        self.speech = Speech()
        self.disk: DiskEnd | None = None
        self._home = home

    @property
    def lives(self) -> bool:
        """Whether this life has not ended."""
        return self._home.daemon is self

    def give(self, given: sig.Input) -> None:
        """Take an input if this life has not ended."""
        if self.lives:
            self._home.take(given)
