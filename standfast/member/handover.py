"""A restart of the daemon that moves nothing: a successor is loaded, then this process ends without a word.

Guarantees: nothing is given up before a successor has read its files, keys and code, and can go on with the warden that
runs here. The end itself is that of a killed daemon, which the cluster bears at any time: the warden keeps the lease's
end, every change is one transaction, and the kernel ends the supervised etcd.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Protocol

from standfast import __version__
from standfast.errors import MachineError, Refused
from standfast.member.control_protocol import RestartReport
from standfast.member.notify import Notifier
from standfast.member.successor import Successor
from standfast.member.warden_reports import State

TOLD_S = 0.1
"""Between the answer to who asked and the end: for the answer to get out."""

_log = logging.getLogger(__name__)


class Hands(Protocol):
    """Who has the warden."""

    @property
    def state(self) -> State | None:
        """Its latest word."""
        ...

    @property
    def running(self) -> tuple[str, ...]:
        """Queue managers of which something may run."""
        ...


class Handover:
    """Of one daemon. `end`: ends this process at once."""

    def __init__(
        self,
        hands: Hands,
        notifier: Notifier,
        end: Callable[[], None] = lambda: os._exit(0),
    ) -> None:
        self._hands = hands
        self._notifier = notifier
        self._end = end
        self._busy = False

    async def restart(self, *, check: bool, leave: bool = False) -> RestartReport:
        """Load a successor and, shortly after this has returned, end; with `check` send it away instead.

        With `leave` it is sent away too, having shown that it could go on, and this process ends: whoever asked
        starts the next one. Raises Refused when it would end what runs, or when another restart is under way;
        MachineError.
        """
        if self._busy:
            raise Refused("A restart of this daemon is under way already: wait for it.")
        self._busy = True
        try:
            successor = await Successor.load(self._notifier.environment())
        except BaseException:
            self._busy = False
            raise
        report = self._judge(successor)
        refused = report.ends and bool(report.running)
        if check or refused or leave:
            await successor.send_away()
            self._busy = leave and not (check or refused)
        if self._busy and leave:
            asyncio.get_running_loop().call_later(TOLD_S, self._leave)
        elif not (check or refused):
            asyncio.get_running_loop().call_later(TOLD_S, self._go, successor)
        if refused and not check:
            raise Refused(
                f"The new daemon, release {report.release}, can not go on with the warden that runs here (version "
                f"{report.warden}) and would end {', '.join(report.running)}. Move them away first, then stop and "
                f"start this daemon."
            )
        return report

    def _judge(self, successor: Successor) -> RestartReport:
        state = self._hands.state
        warden = state.version if state else 0
        return RestartReport(
            was=__version__,
            release=successor.ready.release,
            warden=warden,
            ends=not successor.ready.fits(warden),
            running=self._hands.running,
        )

    def _leave(self) -> None:
        _log.info("ends at once: what it runs goes on under the warden, for the next daemon")
        self._end()

    def _go(self, successor: Successor) -> None:
        try:
            successor.go()
        except (MachineError, OSError) as error:
            _log.error("not restarted: %s", error)
            self._busy = False
            return
        _log.info("gives way to its successor (pid %d), release %s", successor.pid, successor.ready.release)
        self._notifier.tell(f"MAINPID={successor.pid}")
        self._end()
