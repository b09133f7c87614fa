"""The warden's watchdog: it resets the machine when something still runs as the lease ends and nobody can end it.

The warden holds the device, not the daemon. It is the one that ends what runs; so the device must fire when the
*warden* is gone, stuck or frozen, or meets a process that even the kernel can not end, and need not when only the
daemon hangs: then the warden ends everything in time and stops the device. A daemon that fed it would reset the machine
for nothing in the second case, and in the first would go on feeding while something runs that nobody can stop any more.

Guarantees, by this machine's own clock and for a device whose clock is less than 1 % slow: started before the first
queue manager is launched and stopped after the last process is gone; in between it fires when the lease ends, at the
latest. For it is fed only when the lease that was confirmed to the daemon, and by it to the warden, outlasts what is
promised to the device (see `model/watchdog.py`). While nothing runs it is stopped, and an idle machine never reset.

Does not guarantee: anything for a device that does not count while the machine is suspended or its hypervisor holds it;
nor the moment when the warden is paused in the very system call that feeds. A device that turns out not to be stoppable
is fed for as long as the warden lives, and counts as none.

One thread, one device, never blocking. Standard library only.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from standfast.errors import MachineError
from standfast.member.warden_protocol import WatchdogState
from standfast.member.watchdog_device import Device, take
from standfast.member.watchdog_record import write_at_rest
from standfast.storage.refusal import LaunchRefusal

NS_PER_S = 1_000_000_000
FEEDS_PER_TIMEOUT = 8
"""How often it is fed in each time-out: a pause of the warden of 7/8 of it does no harm."""

Span = tuple[int, int]
"""A time-out in seconds, and what must be left of the lease when the device is fed, in nanoseconds."""


class Plan(NamedTuple):
    """What the daemon asks for.

    Attributes:
        device: path of the device; empty: none.
        required: nothing is launched without it.
        fine: the time-outs that will do for a device that counts finer than in seconds, best first.
        ticking: the same for any other device.
        aim_ns: how long before the last allowed moment the last feed is aimed at.
        record: file that says whether it was stopped, see `watchdog_record`.
    """

    device: str = ""
    required: bool = False
    fine: tuple[Span, ...] = ()
    ticking: tuple[Span, ...] = ()
    aim_ns: int = 0
    record: str = ""

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "Plan":
        """From an order; raises KeyError, TypeError, ValueError."""
        fine, ticking = (tuple((int(s), int(need)) for s, need in fields[name]) for name in ("fine", "ticking"))
        return cls(
            str(fields["device"]),
            bool(fields["required"]),
            fine,
            ticking,
            int(fields["aim_ns"]),
            str(fields["record"]),
        )

    def spans(self, device: Device) -> tuple[Span, ...]:
        """Those for this device."""
        return self.fine if device.fine else self.ticking


class Watchdog:
    """At most one device.

    Args:
        report: is told of each change of state, in the fields of the protocol's `watchdog`.
        alone: whether there is no daemon to hear it.
        take: makes a Device of a path.
    """

    def __init__(
        self,
        report: Callable[[Mapping[str, Any]], None],
        alone: Callable[[], bool],
        take: Callable[[str], Device] = take,
    ) -> None:
        self.state = WatchdogState.OFF
        self._report = report
        self._alone = alone
        self._take = take
        self._plan = self._wanted = Plan()
        self._device: Device | None = None
        self._detail = ""
        self._timeout_s = 0
        self._need_ns = 0
        self._fed_ns = 0

    @property
    def _on_duty(self) -> bool:
        return self.state in (WatchdogState.ARMED, WatchdogState.STARVED)

    def tell(self) -> None:
        """Report the state as it is."""
        starved = self.state is WatchdogState.STARVED
        self._report(
            {
                "report": "watchdog",
                "state": self.state,
                "device": self._plan.device,
                "identity": self._device.identity if self._device else "",
                "timeout_s": self._timeout_s,
                "fires_ns": self._fed_ns + self._timeout_s * NS_PER_S if starved else 0,
                "detail": self._detail,
            }
        )

    def _become(self, state: WatchdogState, detail: str = "") -> None:
        self.state, self._detail = state, detail
        self.tell()

    # ------------------------------------------------------------ having one

    def follow(self, plan: Plan, now: int, end_ns: int) -> None:
        """Do as this plan says, or try again to; a device on duty follows as far as its duty allows."""
        self._wanted = plan
        if not self._on_duty:
            self._settle(now)
        else:
            self._retime(now, end_ns)
            self.tell()

    def _settle(self, now: int) -> None:
        """Have the device that is wanted, set as is wanted."""
        if self.state is WatchdogState.CAPTIVE or (self.state is WatchdogState.READY and self._plan == self._wanted):
            self.tell()
            return
        self._release()
        self._plan = self._wanted
        if self._plan.device:
            self._get(now)
        else:
            self._become(WatchdogState.OFF)

    def _get(self, now: int) -> None:
        try:
            device = self._device = self._take(self._plan.device)
        except MachineError as error:
            self._become(WatchdogState.ABSENT, str(error))
            return
        if not device.stops:
            self._hold(now)
        elif refusal := self._set(self._plan.spans(device)):
            self._release()
            self._become(WatchdogState.ABSENT, f"{device.path} ({device.identity}) does not fit the timing: {refusal}.")
        else:
            self._become(WatchdogState.READY)

    def _set(self, spans: Sequence[Span]) -> str:
        """Set the first time-out that the driver takes, or makes another of them of; else what it said to each."""
        assert self._device is not None
        needs, said = dict(spans), []
        for wanted_s in needs:
            try:
                got_s = self._device.set(wanted_s)
            except OSError:
                said.append(f"{wanted_s} s is refused")
                continue
            if got_s in needs:
                self._timeout_s, self._need_ns = got_s, needs[got_s]
                return ""
            said.append(f"{wanted_s} s becomes {got_s} s")
        return ", ".join(said) or "no time-out of two of its ticks or more keeps it"

    def _retime(self, now: int, end_ns: int) -> None:
        """Other timers are in force: set a device on duty anew, which feeds it, once the lease bears both time-outs.

        A lease never ends earlier than it did, so that it bears the old one long enough for this. One that can not keep
        the new timers at all is stopped: it would reset a healthy machine.
        """
        assert self._device is not None
        if self._wanted == self._plan or self._wanted.device != self._plan.device:
            return
        spans, left_ns = self._wanted.spans(self._device), end_ns - now
        if not spans:
            self._settle(now)
        elif max(self._need_ns, spans[0][1]) <= left_ns:
            before_s, self._fed_ns, self._plan = self._timeout_s, now, self._wanted
            if self._set([span for span in spans if span[1] <= left_ns]):
                self._obeys(lambda device: device.set(before_s))

    def _hold(self, now: int) -> None:
        """It runs and can not be stopped: all that is left is to feed it."""
        assert self._device is not None
        self._timeout_s = max(self._device.timeout_s, 1)
        self._become(
            WatchdogState.CAPTIVE,
            f"{self._device.path} ({self._device.identity}) can not be stopped (nowayout): it is fed and not used, and "
            f"this machine will be reset when Standfast ends. Load its driver with nowayout=0.",
        )
        self._feed(now)

    def _release(self) -> None:
        if self._device is not None:
            self._device.let_go()
            self._device = None

    def close(self) -> None:
        """Stop it and let go of it: nothing runs any more."""
        self._release()
        self.state = WatchdogState.OFF

    # ------------------------------------------------------------ using it

    def arm(self, now: int, end_ns: int) -> LaunchRefusal | None:
        """Start it, as something is about to run; why that must not be launched, if so."""
        if self._on_duty:
            return None
        if self.state is WatchdogState.READY:
            if now + self._need_ns > end_ns:
                return LaunchRefusal.LEASE_SHORT
            if self._obeys(Device.start):
                self._fed_ns = now
                self._become(WatchdogState.ARMED)
                return None
        return LaunchRefusal.WATCHDOG if self._plan.required else None

    def tend(self, now: int, end_ns: int, stop_at: int) -> None:
        """Feed it if the lease's end allows; `stop_at`: when queue managers are told to stop. Harmless at any time."""
        if self.state is WatchdogState.CAPTIVE:
            self._feed(now)
        elif self._on_duty:
            if now + self._need_ns <= end_ns:
                self._feed(now)
                if self.state is WatchdogState.STARVED:
                    self._become(WatchdogState.ARMED)
                if self._on_duty:
                    self._retime(now, end_ns)
            elif self.state is WatchdogState.ARMED and now >= stop_at:
                self._become(WatchdogState.STARVED)

    def _feed(self, now: int) -> None:
        if self._obeys(Device.feed):
            self._fed_ns = now

    def _obeys(self, act: Callable[[Device], object]) -> bool:
        """Whether it did; one that does not is left as it is, so that it resets the machine if it runs."""
        assert self._device is not None
        try:
            act(self._device)
        except OSError as error:
            device, self._device = self._device, None
            device.drop()
            self._become(WatchdogState.ABSENT, f"{device.path} ({device.identity}) does not obey: {error.strerror}.")
            return False
        return True

    def rest(self, now: int) -> None:
        """Stop it: nothing runs any more."""
        if not self._on_duty:
            return
        assert self._device is not None
        try:
            self._device.stop()
        except OSError:
            self._hold(now)
            return
        self._become(WatchdogState.READY)
        if self._alone():
            # Nobody else could, and as nothing runs, a disk that makes this wait does no harm.
            with contextlib.suppress(OSError):
                write_at_rest(Path(self._plan.record))
        if self._wanted != self._plan:
            self._settle(now)

    def next_ns(self, now: int, end_ns: int, stop_at: int) -> int | None:
        """When `tend` is to be called next, or None."""
        due = self._fed_ns + self._timeout_s * NS_PER_S // FEEDS_PER_TIMEOUT
        if self.state is WatchdogState.CAPTIVE:
            return due
        if self.state is not WatchdogState.ARMED:
            return None
        last = end_ns - self._need_ns
        aim = last - self._plan.aim_ns
        if self._fed_ns < aim and now <= last:
            return min(due, aim)
        return max(last + 1, stop_at)
