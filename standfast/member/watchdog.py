"""The daemon's part in the watchdog: says what the warden shall have, keeps the record on disk, tells people.

The device itself is the warden's, see `warden_watchdog`. Guarantees: while a watchdog is required and can not be used,
`trouble` says why, and the member is unfit for every queue manager. A start after a boot in which the watchdog was not
stopped tells of it, once, as sure as can be: softdog and a power cut leave the same traces (see Evidence).
Does not guarantee: that the record is on disk before the first queue manager runs; it is written meanwhile, and the
device fires a second later at the earliest.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from standfast.errors import MachineError
from standfast.member import watchdog_record
from standfast.member.processes import boot_id
from standfast.member.report import NoticeKind
from standfast.member.warden_protocol import WatchdogState
from standfast.member.warden_reports import WatchdogOrder, WatchdogReport
from standfast.member.watchdog_device import traits
from standfast.member.watchdog_record import Phase, Record
from standfast.model.cluster import MemberSpec, Role, WatchdogMode
from standfast.model.events import Event, EventKind
from standfast.model.timing import Timing
from standfast.model.watchdog import AIM_NS, timeouts, uncovered
from standfast.ports import boottime_ns

LOOK_AGAIN_S = 5.0
"""Pause between two attempts to get a watchdog that can not be used, and between two to write the record."""
NS_PER_MS = 1_000_000
MS_PER_S = 1_000

_GOOD = frozenset({WatchdogState.READY, WatchdogState.ARMED, WatchdogState.STARVED})
_PHASES = {
    WatchdogState.OFF: Phase.AT_REST,
    WatchdogState.READY: Phase.AT_REST,
    WatchdogState.ARMED: Phase.ARMED,
    WatchdogState.STARVED: Phase.STARVED,
    WatchdogState.CAPTIVE: Phase.ARMED,
}
"""What is written of each state. Nothing of ABSENT: a device that does not obey any more may still run."""

_log = logging.getLogger(__name__)


class Evidence(StrEnum):
    """How sure it is that the watchdog reset the machine."""

    DEVICE = "device"  # the hardware says so
    STARVED = "starved"  # it was no longer fed and about to fire
    ARMED = "armed"  # it was started and fed: a power cut, or it fired before that could be written


class Journal(Protocol):
    """Where events go."""

    def told(self, event: Event) -> None:
        """An event that this member alone can tell."""
        ...


class Reporter(Protocol):
    """Where the state is shown."""

    watchdog: WatchdogState | None

    def notice(self, kind: NoticeKind, subject: str = "", detail: str = "") -> None:
        """Add or renew a notice; an empty detail takes it back."""
        ...


class Watchdog:
    """Of one member.

    Args:
        me: this member.
        timing: the timers in force.
        state_dir: where the record is kept.
        give: passes an order to the warden.
        journal: gets the events.
        reporter: shows the state.

    Attributes:
        trouble: why this member may run nothing; empty when it may.
        on_trouble: called when that changes.
    """

    def __init__(
        self,
        me: MemberSpec,
        timing: Timing,
        state_dir: Path,
        *,
        give: Callable[[WatchdogOrder], None],
        journal: Journal,
        reporter: Reporter,
    ) -> None:
        self._me = me
        self._mode = me.watchdog if me.role is Role.DATA else WatchdogMode.OFF
        self._file = state_dir / watchdog_record.FILE
        self._give = give
        self._journal = journal
        self._reporter = reporter
        self._state: WatchdogState | None = None
        self._usable: bool | None = None
        self._kept = self._wanted = watchdog_record.read(self._file)
        self._news = asyncio.Event()
        self._writing = threading.Lock()  # a write that was cancelled goes on in its thread
        self.trouble = "its watchdog has not been looked at yet" if self._mode is WatchdogMode.REQUIRED else ""
        self.on_trouble: Callable[[], None] = lambda: None
        self._retime(timing)

    def begin(self) -> None:
        """Tell how the last boot ended, and order what is wanted. Raises nothing."""
        if self._kept is not None and self._kept.unsettled:
            self._tell_reset(self._kept)
        self._give(self._order)

    def retimed(self, timing: Timing) -> None:
        """Other timers are in force from now on; those of a required watchdog must be such that one can keep them."""
        self._retime(timing)
        self._give(self._order)

    def _retime(self, timing: Timing) -> None:
        self._uncovered = uncovered(timing) if self._mode is not WatchdogMode.OFF else ""
        wanted = self._mode is not WatchdogMode.OFF and not self._uncovered
        self._order = WatchdogOrder(
            device=self._me.watchdog_device if wanted else "",
            required=self._mode is WatchdogMode.REQUIRED,
            fine=tuple((t.seconds, t.need_ns) for t in timeouts(timing, fine=True)),
            ticking=tuple((t.seconds, t.need_ns) for t in timeouts(timing, fine=False)),
            aim_ns=AIM_NS,
            record=str(self._file),
        )

    # ------------------------------------------------------------ what the warden says

    def told(self, report: WatchdogReport) -> None:
        """How it stands with the device now."""
        if report.state is not self._state:
            _log.info("watchdog: %s %s", report.state, report.device)
        self._state = self._reporter.watchdog = report.state
        if self._mode is not WatchdogMode.OFF:
            self._judge(report.state in _GOOD, report.detail or self._uncovered)
        if report.state in _PHASES:
            self._remember(_PHASES[report.state], report)

    def _judge(self, usable: bool, detail: str) -> None:
        self._reporter.notice(NoticeKind.WATCHDOG_UNREADY, self._me.name, "" if usable else detail.rstrip("."))
        if usable is not self._usable:
            self._usable = usable
            required = self._mode is WatchdogMode.REQUIRED
            fields: dict[str, str | int | float | bool | None] = {"required": required}
            if not usable:
                fields["detail"] = detail
            kind = EventKind.WATCHDOG_READY if usable else EventKind.WATCHDOG_MISSING
            self._journal.told(Event(kind=kind, subject=self._me.name, fields=fields))
        trouble = detail if not usable and self._mode is WatchdogMode.REQUIRED else ""
        if trouble != self.trouble:
            self.trouble = trouble
            self.on_trouble()

    # ------------------------------------------------------------ the record

    def _remember(self, phase: Phase, report: WatchdogReport) -> None:
        if self._wanted is not None and self._wanted.boot == boot_id() and self._wanted.phase is phase:
            return
        until_ms = 0
        if report.fires_ns:
            until_ms = _unix_ms() + (report.fires_ns - boottime_ns()) // NS_PER_MS
        self._wanted = Record(boot_id(), phase, report.device, report.timeout_s, _unix_ms(), until_ms)
        self._news.set()

    async def run(self) -> None:
        """Keep the record and try again to get a device that is wanted, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._news.wait()
            except TimeoutError:
                if self._state is WatchdogState.ABSENT:
                    self._give(self._order)
            self._news.clear()
            await asyncio.to_thread(self._keep)

    async def close(self) -> None:
        """Write the last word, once the warden has said it."""
        await asyncio.to_thread(self._keep)

    def _keep(self) -> None:
        with self._writing:
            wanted = self._wanted
            if wanted is None or wanted == self._kept:
                return
            try:
                watchdog_record.write(self._file, wanted)
            except OSError as error:
                _log.error("the watchdog's record %s can not be written: %s", self._file, error.strerror)
            else:
                self._kept = wanted

    def _tell_reset(self, last: Record) -> None:
        """Tell it once: the record is at rest before anybody can ask again."""
        evidence = Evidence.STARVED if last.phase is Phase.STARVED else Evidence.ARMED
        with contextlib.suppress(MachineError):
            seen = traits(last.device)
            if seen is not None and seen.card_reset:
                evidence = Evidence.DEVICE
        since = datetime.fromtimestamp(last.at_unix_ms / MS_PER_S, UTC).isoformat(timespec="seconds")
        fields: dict[str, str | int | float | bool | None] = {
            "evidence": evidence,
            "device": last.device,
            "timeout_s": last.timeout_s,
            "since": since,
            "due_unix_ms": last.until_unix_ms or None,
        }
        self._journal.told(Event(kind=EventKind.WATCHDOG_RESET, subject=self._me.name, fields=fields))
        self._reporter.notice(NoticeKind.WATCHDOG_RESET, self._me.name, f"{evidence} since {since}")
        self._wanted = Record(boot_id(), Phase.AT_REST)
        self._keep()


def _unix_ms() -> int:
    return time.time_ns() // NS_PER_MS
