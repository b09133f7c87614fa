"""The warden: a small process that starts queue managers and ends them when the lease ends, whatever the daemon does.

Guarantees: no process that it started for a queue manager, nor a descendant of one, nor one in a cgroup that its launch
names (see `warden_outside`), lives past the lease's end as last told by the daemon. The same when the daemon hangs, is
stopped or dies (the warden needs it for nothing), when the warden is stopped (the backstop wakes it), and when the
warden dies (see `warden_backstop`). `exited` and `refused` are reported only when no process of that launch is left.
What the kernel can not end, the watchdog does, where there is one (see `warden_watchdog`).

How: `stop_ns` before the lease's end every queue manager gets its stop signal; `kill_ns` before it, SIGKILL goes to all
of its processes. Nothing is launched with less than `stop_ns` of lease left, and a launched process looks again right
before it executes its program. All of it by CLOCK_BOOTTIME, armed in the kernel.

Does not guarantee: the end of a process that the kernel cannot end (uninterruptible on a hung disk), which is reported
as `stuck` and left to the watchdog; nor anything while the whole machine or the warden's own cgroup is
frozen: then storage fencing and the kernel's watchdog count. Without cgroups a process that detached itself wholly (own
session, parent gone) is not traced to its queue manager: it is ended with the next one that ends, or with the lease.

Assumes: `kill_ns` is longer than the kernel takes to end the processes. One thread, one poll loop, never blocking: what
touches storage or logs does so in the forked child. Standard library only, so that it stays small and simple.
"""

import contextlib
import os
import select
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from standfast.member import processes
from standfast.member import warden_kernel as kernel
from standfast.member.launch import Order
from standfast.member.processes import Cgroup
from standfast.member.warden_channel import Channel
from standfast.member.warden_charge import Charge
from standfast.member.warden_protocol import VERSION, Cause, Containment, Stage
from standfast.member.warden_run_dir import RunDir
from standfast.member.warden_watchdog import Plan, Watchdog
from standfast.storage.refusal import LaunchRefusal

LINGER_NS = 5_000_000_000
"""How long a warden without lease, queue managers and daemon waits for a daemon before it ends."""
LOOK_NS = 2_000_000
"""Pause between two looks at a cgroup whose end nobody tells."""
_WAKE_BYTES = 4096


class Lease(NamedTuple):
    """The daemon's latest word on how long queue managers may run; moments on CLOCK_BOOTTIME, in nanoseconds."""

    end_ns: int = 0
    stop_ns: int = 0
    kill_ns: int = 0

    @property
    def stop_at(self) -> int:
        """When to ask queue managers to stop; nothing is launched any more."""
        return self.end_ns - self.stop_ns

    @property
    def kill_at(self) -> int:
        """When to kill what still runs."""
        return self.end_ns - self.kill_ns

    def next_after(self, now: int) -> int | None:
        """The next moment at which something is due."""
        return min((at for at in (self.stop_at, self.kill_at, self.end_ns) if at > now), default=None)


class Warden:
    """The poll loop and what it knows."""

    def __init__(
        self, run_dir: RunDir, cgroup: Path | None, privileges: kernel.Privileges, first: socket.socket
    ) -> None:
        self._run_dir = run_dir
        self._cgroup = cgroup
        self._privileges = privileges
        self._lease = Lease()
        self._exec_before = kernel.SharedMoment()
        self._charges: dict[str, Charge] = {}
        self._idle_since_ns = kernel.boottime_ns()
        self._quitting = False
        self._verdict_ns: int | None = None
        self._ticked_ns = 0
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._timer = kernel.BootTimer()
        self._watch(self._timer.fileno(), self._tick)
        self._woken = kernel.wake_on_children()
        self._watch(self._woken, self._reap)
        self._backstop = os.pidfd_open(os.getppid())
        self._watch(self._backstop, self._backstop_ended)
        self._channel = channel = Channel(run_dir, first)
        self._watchdog = Watchdog(channel.send, alone=lambda: not channel.connected)
        self._watch(self._channel.server.fileno(), self._accept)
        self._orders: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "lease": self._renew,
            "watchdog": lambda fields: self._watchdog.follow(
                Plan.parse(fields), kernel.boottime_ns(), self._lease.end_ns
            ),
            "launch": self._launch,
            "stop": lambda fields: self._for_charge(fields, lambda charge: charge.ask_to_stop(Cause.STOP)),
            "kill": lambda fields: self._for_charge(fields, lambda charge: charge.kill(Cause.KILL)),
            "list": lambda _fields: self._tell_state(),
            "quit": self._quit,
        }
        self._greet()

    def run(self) -> None:
        """Serve until told to quit, or until nobody needs it any more."""
        self._arm()
        while not self._over():
            for descriptor, _events in self._poll.poll():
                # A handler earlier in this round may have closed what was reported later in it.
                if handler := self._handlers.get(descriptor):
                    handler()
            self._arm()
        self._watchdog.close()
        with contextlib.suppress(FileNotFoundError):
            self._run_dir.socket.unlink()
        if self._cgroup:
            Cgroup(self._cgroup).remove()

    def _watch(self, descriptor: int, handler: Callable[[], None], events: int = select.POLLIN) -> None:
        self._poll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def _unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def _over(self) -> bool:
        if self._charges:
            return False
        now = kernel.boottime_ns()
        unneeded = not self._channel.connected and now >= max(self._lease.end_ns, self._idle_since_ns + LINGER_NS)
        return self._quitting or unneeded

    # ------------------------------------------------------------ the lease

    def _arm(self) -> None:
        moment = None
        if self._charges:
            # After the last look, not after now: what became due in between fires at once instead of never.
            moment = self._lease.next_after(self._ticked_ns)
            if self._verdict_ns is not None:
                moment = min(moment or self._verdict_ns, self._verdict_ns)
            if any(charge.unheard for charge in self._charges.values()):
                moment = kernel.boottime_ns() + LOOK_NS
        elif not self._channel.connected:
            moment = max(self._lease.end_ns, self._idle_since_ns + LINGER_NS)
        feed_ns = self._watchdog.next_ns(kernel.boottime_ns(), self._lease.end_ns, self._lease.stop_at)
        self._timer.arm(min((at for at in (moment, feed_ns) if at is not None), default=None))

    def _renew(self, fields: Mapping[str, Any]) -> None:
        lease = Lease(int(fields["end_ns"]), int(fields["stop_ns"]), int(fields["kill_ns"]))
        if not lease.stop_ns >= lease.kill_ns >= 0:
            raise ValueError(f"stop_ns = {lease.stop_ns} must not be less than kill_ns = {lease.kill_ns}")
        if self._quitting:
            return
        self._lease = lease
        self._exec_before.set(lease.stop_at)
        self._tick()
        self._channel.send({"report": "held", "end_ns": lease.end_ns})

    def _tick(self) -> None:
        """Carry out what the lease asks for by now; harmless at any time."""
        now = self._ticked_ns = kernel.boottime_ns()
        lease = self._lease
        self._watchdog.tend(now, lease.end_ns, lease.stop_at)
        due = now >= lease.stop_at and not self._quitting  # who quits has killed them all
        for charge in self._charges.values() if due else ():
            if not charge.lease_stopped:
                charge.lease_stopped = True
                charge.ask_to_stop(Cause.LEASE)
                self._channel.send({"report": "lease_stop"} | charge.fields())
            if now >= lease.kill_at and not charge.lease_killed:
                charge.lease_killed = True
                charge.kill(Cause.LEASE)
                self._channel.send({"report": "lease_kill"} | charge.fields())
                self._verdict_ns = max(lease.end_ns, now + lease.kill_ns)
        if self._verdict_ns is not None and now >= self._verdict_ns:
            self._verdict_ns = None
            for charge in self._charges.values():
                if charge.lease_killed:
                    self._channel.send({"report": "stuck"} | charge.fields(pid=charge.pid))
        self._sweep()

    # ------------------------------------------------------------ queue managers

    def _for_charge(self, fields: Mapping[str, Any], act: Callable[[Charge], None]) -> None:
        """Act on the queue manager named; one that has just ended is no error: its end is on the way."""
        if charge := self._charges.get(fields["qm"]):
            act(charge)

    def _refuse(self, qm: object, epoch: object, code: LaunchRefusal, detail: str) -> None:
        self._channel.send({"report": "refused", "qm": qm, "epoch": epoch, "code": code, "detail": detail})

    def _launch(self, fields: Mapping[str, Any]) -> None:
        try:
            order = Order.parse(fields)
        except (KeyError, TypeError, ValueError) as error:
            self._refuse(fields.get("qm"), fields.get("epoch"), LaunchRefusal.BAD_REQUEST, repr(error))
            return
        now = kernel.boottime_ns()
        if self._quitting or now >= self._lease.end_ns:
            self._refuse(order.qm, order.epoch, LaunchRefusal.LEASE_ENDED, f"(by {now - self._lease.end_ns} ns)")
        elif now >= self._lease.stop_at:
            self._refuse(order.qm, order.epoch, LaunchRefusal.LEASE_SHORT, f"({self._lease.end_ns - now} ns left)")
        elif order.qm in self._charges:
            self._refuse(order.qm, order.epoch, LaunchRefusal.ALREADY_RUNNING, f"(pid {self._charges[order.qm].pid})")
        elif (refusal := self._watchdog.arm(now, self._lease.end_ns)) is not None:
            self._refuse(order.qm, order.epoch, refusal, f"({self._lease.end_ns - now} ns left)")
        else:
            self._take_charge(order)

    def _take_charge(self, order: Order) -> None:
        box = self._cgroup / order.qm if self._cgroup else None
        try:
            charge = Charge(order, box, self._run_dir, self._exec_before)
        except OSError as error:
            self._refuse(order.qm, order.epoch, LaunchRefusal.CONTAINMENT, f"({error})")
            self._rest()
            return
        self._charges[order.qm] = charge
        self._watch(charge.pipe, lambda: self._hear(charge))
        if charge.gone_fd >= 0:
            self._watch(charge.gone_fd, lambda: self._look(charge), select.POLLPRI)

    def _hear(self, charge: Charge) -> None:
        pipe = charge.pipe
        report = charge.hear()
        if charge.pipe < 0:
            self._unwatch(pipe)
        if report:
            self._channel.send(report)

    def _look(self, charge: Charge) -> None:
        """The cgroup became populated or empty: reading the file calms the descriptor."""
        os.pread(charge.gone_fd, _WAKE_BYTES, 0)
        self._sweep()

    def _reap(self) -> None:
        """A child ended: of a main process, end the group before the pid can be given to another."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, _WAKE_BYTES)
        mains = {charge.pid: charge for charge in self._charges.values() if charge.stage is not Stage.ENDING}
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                charge = mains.pop(ended.si_pid, None)
                if charge is None:
                    os.waitpid(ended.si_pid, 0)
                    continue
                if charge.pipe >= 0:
                    self._hear(charge)
                charge.main_ended()
        self._sweep()

    def _sweep(self) -> None:
        """End what the ended left behind; report those of whom nothing is left."""
        ending = [charge for charge in self._charges.values() if charge.stage is Stage.ENDING]
        if not ending or self._end_orphans():
            return
        for charge in ending:
            if charge.empty():
                self._dismiss(charge)

    def _end_orphans(self) -> bool:
        """Kill all children that are no main process and not traced to a living one; whether there were any.

        Each that dies gives up its own children, which come up here with the next SIGCHLD, until none is left.
        """
        alive = [charge for charge in self._charges.values() if charge.stage is not Stage.ENDING]
        mains = {charge.pid for charge in alive}
        orphans = [
            pid
            for pid in processes.children_of(os.getpid())
            if pid not in mains and not any(charge.holds(pid) for charge in alive)
        ]
        for pid in orphans:
            processes.kill(pid)
        return bool(orphans)

    def _dismiss(self, charge: Charge) -> None:
        del self._charges[charge.order.qm]
        self._idle_since_ns = kernel.boottime_ns()
        if charge.gone_fd >= 0:
            self._unwatch(charge.gone_fd)
        charge.close()
        # Stopped before it is said that nothing runs: the word `exited` may let another member start.
        self._rest()
        self._channel.send(charge.last_words())

    def _rest(self) -> None:
        if not self._charges:
            self._watchdog.rest(kernel.boottime_ns())

    def _backstop_ended(self) -> None:
        """Without backstop the promise rests on this process's own life: the daemon is told."""
        self._unwatch(self._backstop)
        os.close(self._backstop)
        self._backstop = -1
        self._tell_state()

    def _quit(self, fields: Mapping[str, Any]) -> None:
        if self._charges and not fields["kill"]:
            self._channel.send({"report": "busy", "running": sorted(self._charges)})
            return
        self._quitting = True
        self._lease = Lease()
        self._exec_before.set(0)
        for charge in self._charges.values():
            charge.kill(Cause.KILL)

    # ------------------------------------------------------------ the daemon

    def _accept(self) -> None:
        self._unwatch(self._channel.fileno())
        self._channel.accept()
        self._greet()

    def _greet(self) -> None:
        if self._channel.connected:
            self._watch(self._channel.fileno(), self._listen)
            self._tell_state()

    def _listen(self) -> None:
        if not self._channel.receive(self._obey):
            self._unwatch(self._channel.fileno())
            self._channel.hang_up()
            self._idle_since_ns = kernel.boottime_ns()

    def _obey(self, fields: Mapping[str, Any]) -> None:
        """Carry out one order; raises KeyError, TypeError, ValueError when it makes no sense."""
        self._orders[fields["do"]](fields)

    def _tell_state(self) -> None:
        self._channel.send(
            {
                "report": "state",
                "version": VERSION,
                "pid": os.getpid(),
                "backstop": self._backstop >= 0,
                "containment": Containment.CGROUP if self._cgroup else Containment.GROUP,
                "privileges": self._privileges._asdict(),
                "end_ns": self._lease.end_ns,
                "running": [charge.found() for charge in self._charges.values()],
            }
        )
