"""The warden, as the member uses it: one that has died is replaced, and what it ran has ended by then."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from standfast.errors import StandfastError, Unreachable
from standfast.member.warden_client import Warden, clear
from standfast.member.warden_protocol import Cause, Stage
from standfast.member.warden_reports import (
    Charged,
    Exited,
    Launched,
    LaunchOrder,
    LeaseKill,
    LeaseStop,
    NotUnderstood,
    Refused,
    State,
    Stuck,
    ToDaemon,
    WardenGone,
    WatchdogOrder,
    WatchdogReport,
)
from standfast.ports import boottime_ns
from standfast.quorum.runs import ENDED_BY_LEASE
from standfast.quorum.signals import Inherited, Survivor

NO_WARDEN = "no_warden"
START_AGAIN_S = 1.0

_log = logging.getLogger(__name__)


class Reports(Protocol):
    """What the attendant wants to hear."""

    def launched(self, qm: str, epoch: int) -> None:
        """Its program was executed."""
        ...

    def refused(self, qm: str, epoch: int, code: str) -> None:
        """It was not started, and nothing of it is left."""
        ...

    def exited(self, qm: str, epoch: int, code: str) -> None:
        """No process of it is left."""
        ...


class Hands:
    """Starts, stops and kills queue managers through the warden, and tells it of the lease.

    Args:
        run_dir: of the member.
        name: cluster and member, for the warden's cgroup.
        reports: told of what becomes of queue managers; set before `open`.
    """

    reports: Reports

    def __init__(self, run_dir: Path, name: str) -> None:
        self._run_dir = run_dir
        self._name = name
        self._warden: Warden | None = None
        self._lease: tuple[int, int, int] | None = None
        self._watchdog: WatchdogOrder | None = None
        self._reviving: asyncio.Task[None] | None = None
        self.on_state: Callable[[State], None] = lambda _: None
        self.on_watchdog: Callable[[WatchdogReport], None] = lambda _: None

    @property
    def state(self) -> State | None:
        """The warden's latest word on itself; None while there is none."""
        return self._warden.state if self._warden else None

    @property
    def running(self) -> tuple[str, ...]:
        """Queue managers of which something may run."""
        return self._warden.running if self._warden else ()

    async def open(self, *, inherit: bool = True) -> Inherited | None:
        """Take over the warden of a former process with what it runs, or end all that is left and start another.

        `inherit`: whether it may be taken over; not by a member that runs something by an operator's override.
        Raises AlreadyRunning, MachineError. Whatever is reported comes after this has returned what was found.
        """
        found = await self._found() if inherit else None
        if found is None:
            ended = await clear(self._run_dir)
            if ended.queue_managers:
                _log.warning("ended what a former process left running: %s", ", ".join(ended.queue_managers))
            await self._start()
            return None
        self._employ(found)
        state = found.state
        survivors = tuple(map(_survivor, state.running))
        _log.info("took over the warden (pid %d) with what it runs: %s", state.pid, ", ".join(s.qm for s in survivors))
        return Inherited(survivors, state.end_ns)

    async def _found(self) -> Warden | None:
        """A warden that runs something and can go on with it. Connected to once: a connection replaces the last."""
        try:
            warden = await Warden.attach(self._run_dir, self._report)
        except Unreachable as error:
            _log.debug("%s", error)
            return None
        if warden.state.running and warden.state.end_ns > boottime_ns():
            return warden
        warden.close()
        return None

    async def _start(self) -> None:
        self._employ(await Warden.start(self._run_dir, self._name, self._report))

    def _employ(self, warden: Warden) -> None:
        """Give orders to this one from now on, those about the watchdog first: it may be on duty."""
        self._warden = warden
        self.on_state(warden.state)
        if self._watchdog:
            warden.watchdog(self._watchdog)
        if self._lease:
            warden.lease(*self._lease)

    def lease(self, end_ns: int, stop_ns: int, kill_ns: int) -> None:
        """Tell the warden when to stop and kill by itself (CLOCK_BOOTTIME, nanoseconds)."""
        self._lease = (end_ns, stop_ns, kill_ns)
        if self._warden:
            self._warden.lease(end_ns, stop_ns, kill_ns)

    def watchdog(self, order: WatchdogOrder) -> None:
        """What watchdog the warden shall have, this one and each that replaces it."""
        self._watchdog = order
        if self._warden:
            self._warden.watchdog(order)

    def launch(self, order: LaunchOrder) -> None:
        """Start a queue manager; refused while the warden is being replaced."""
        if self._warden:
            self._warden.launch(order)
        else:
            asyncio.get_running_loop().call_soon(self.reports.refused, order.qm, order.epoch, NO_WARDEN)

    def stop(self, qm: str) -> None:
        """Its stop signal."""
        if self._warden:
            self._warden.stop(qm)

    def kill(self, qm: str) -> None:
        """SIGKILL to everything of it."""
        if self._warden:
            self._warden.kill(qm)

    async def close(self) -> None:
        """End the warden and whatever it still runs."""
        if self._reviving:
            self._reviving.cancel()
            await asyncio.gather(self._reviving, return_exceptions=True)
        if self._warden:
            warden, self._warden = self._warden, None
            await warden.quit(kill=True)

    def _report(self, report: ToDaemon) -> None:
        match report:
            case Launched():
                self.reports.launched(report.qm, report.epoch)
            case Refused():
                _log.warning("launch of %s refused: %s %s", report.qm, report.code, report.detail)
                self.reports.refused(report.qm, report.epoch, report.code)
            case Exited():
                self.reports.exited(report.qm, report.epoch, exit_code(report))
            case State():
                self.on_state(report)
            case WatchdogReport():
                self.on_watchdog(report)
            case LeaseStop() | LeaseKill():
                _log.warning("the warden ends %s: the lease runs out", report.qm)
            case Stuck():
                _log.critical(
                    "%s (pid %d) can not be killed: only a reset of the machine ends it", report.qm, report.pid
                )
            case NotUnderstood():
                _log.error("the warden dropped an order: %s", report.detail)
            case WardenGone():
                _log.error("the warden (pid %d) has died; what it ran is being ended", report.pid)
                dead, self._warden = self._warden, None
                if dead:
                    self._reviving = asyncio.get_running_loop().create_task(self._revive(dead))

    async def _revive(self, dead: Warden) -> None:
        await dead.gone()
        while self._warden is None:
            try:
                await self._start()
            except (StandfastError, OSError) as error:
                _log.error("no new warden: %s", error)
                await asyncio.sleep(START_AGAIN_S)


def _survivor(charge: Charged) -> Survivor:
    ending = charge.stopping or charge.stage is Stage.ENDING
    return Survivor(charge.qm, charge.epoch, executed=charge.stage is not Stage.CLAIMING, ending=ending)


def exit_code(report: Exited) -> str:
    """How a queue manager ended, as a short word."""
    if report.cause is Cause.LEASE:
        return ENDED_BY_LEASE
    if report.signal is not None:
        return f"signal_{report.signal}"
    return f"exit_{report.exit_code}" if report.exit_code is not None else str(report.cause)
