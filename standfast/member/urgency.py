"""The daemon ahead of ordinary programs: its heartbeats leave in time while the machine has more to do than it can.

Guarantees: whatever the daemon starts, programs and threads, is ordinary again, by the kernel's own rule, but for the
slack of timers, which etcd and queue managers are given back (`warden_kernel.soften`); the warden's priority is higher;
a daemon that computes for LONGEST_S without waiting for anything is ordinary for REST_S from then on, so that neither a
flood of datagrams nor a fault of ours takes a processor from the queue managers for long.

Does not guarantee that it is had: the kernel has to allow it, and the operator may refuse it. Nothing depends on it
that keeps a queue manager from running twice: a daemon that comes too late loses its lease, and the warden does the
rest, late daemon or none.

Assumes the main thread. Sources: sched(7); RLIMIT_RTTIME in getrlimit(2).
"""

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from standfast.member import warden_kernel as kernel

LONGEST_S: Final = 1.0
"""Of computing without a pause, in seconds."""
REST_S: Final = 10.0
_REALTIME: Final = 10
"""Below the warden's."""
_US_PER_S: Final = 1_000_000

_log = logging.getLogger(__name__)


class Priority(StrEnum):
    """How urgent the daemon is to be to the kernel."""

    REALTIME = "realtime"  # before every ordinary program
    ORDINARY = "ordinary"  # as it was started


@contextmanager
def urgent(wanted: Priority) -> Iterator[None]:
    """As long as the context lasts, the main thread has this priority, or what the kernel allows of it.

    To be entered in the main thread with a running loop, before other threads are started.
    """
    if wanted is Priority.ORDINARY:
        yield
        return
    urgency = _Urgency(asyncio.get_running_loop())
    limit = resource.getrlimit(resource.RLIMIT_RTTIME)
    handler = signal.signal(signal.SIGXCPU, urgency.took_too_long)
    urgency.take()
    try:
        yield
    finally:
        urgency.end()
        resource.setrlimit(resource.RLIMIT_RTTIME, limit)
        signal.signal(signal.SIGXCPU, handler)


class _Urgency:
    """Takes the priority, gives it back after too long a turn, and takes it again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._niceness = os.getpriority(os.PRIO_PROCESS, 0)
        self._again: asyncio.TimerHandle | None = None

    def take(self) -> None:
        """Whatever the kernel allows."""
        hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
        resource.setrlimit(
            resource.RLIMIT_RTTIME, (int(LONGEST_S * _US_PER_S), hard)
        )  # after a signal the kernel moves it
        _log.info("priority of the daemon: %s", kernel.raise_priority(_REALTIME))

    def took_too_long(self, _number: int, _frame: object) -> None:
        """The kernel's signal; the loop may be far from its next turn."""
        kernel.lower_priority(self._niceness)
        self._loop.call_soon_threadsafe(self._rest)

    def end(self) -> None:
        """Ordinary from now on."""
        if self._again is not None:
            self._again.cancel()
        kernel.lower_priority(self._niceness)

    def _rest(self) -> None:
        _log.warning(
            "the daemon computed for %g s without a pause: its priority is ordinary for %g s", LONGEST_S, REST_S
        )
        self._again = self._loop.call_later(REST_S, self.take)
