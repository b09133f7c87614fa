"""The minder: tends a queue manager that is no foreground process, and is its main process as far as the warden knows.

It is a child of the warden, forked after the storage was claimed and the lease was found good; it holds the claim's
lock, runs the start command, and lives for exactly as long as the queue manager does. See `ports.Tended`.

Guarantees: whatever the commands start is its descendant and in its cgroup, also what detaches itself (it is their
subreaper), so that the warden's kill reaches all of it; it ends when the queue manager has ended, has said that it
stopped, or has used up the time for its stop, and what is left then is killed by the warden. A command that hangs
delays nothing: it is killed at its deadline and given up when even that does not end it.
Does not guarantee: to know of processes that the commands have others start (a service manager, a container daemon),
unless the plan says where they are. So a start that leaves no process is a failure, unless the plan expects it.

Assumes one thread. Nothing here waits for anything but poll. Standard library only.
"""

import contextlib
import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from standfast.member import processes
from standfast.member import warden_kernel as kernel
from standfast.member.minder_command import SIGNAL_BASE, Command
from standfast.member.minder_plan import Ladder, Plan
from standfast.member.warden_outside import OutsideBox

EXIT_NOTHING_LEFT = 120
"""The start command said that it was started, and left no process."""
EXIT_SAYS_STOPPED = 121
"""The status command says that it does not run, after it had served."""
EXIT_STOP_OVER = 122
"""The stages of the stop are over, and something of it is left."""
EXIT_OUTSIDE_ENDED = 123
"""The last process in its own cgroup has ended."""
WORDS = {
    EXIT_NOTHING_LEFT: "left_no_process",
    EXIT_SAYS_STOPPED: "says_stopped",
    EXIT_STOP_OVER: "stop_over",
    EXIT_OUTSIDE_ENDED: "processes_ended",
}
HURRY = signal.SIGUSR1
"""From the warden: stop, because the lease runs out. SIGTERM is a stop that has its full time."""
MOST_STUCK = 3
"""Status commands that do not even die, after which no more are started."""
_IMPATIENT_NS = 100_000_000
"""Pause between two questions while it starts or stops."""
_OUTSIDE_NS = 250_000_000
"""Pause between two looks at processes that are not its own."""
_NS_PER_MS = 1_000_000
_WAKE_BYTES = 4096


class Minder:
    """The poll loop of one queue manager."""

    def __init__(self, plan: Plan, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._plan = plan
        self._argv, self._env = argv, env
        self._poll = select.poll()
        self._woken = kernel.wake_on_children()
        for number in (signal.SIGTERM, HURRY):
            signal.signal(number, lambda *_: None)
        self._poll.register(self._woken, select.POLLIN)
        kernel.become_subreaper()
        kernel.set_name("sf-minder")
        self._outside = OutsideBox(plan.outside) if plan.outside else None
        self._start: Command | None = None
        self._asides: dict[int, Command] = {}
        """Status and stop commands that run: no processes of the queue manager."""
        self._status: Command | None = None
        self._stopper: Command | None = None
        self._ladder: Ladder | None = None
        self._ask_ns = 0
        self._started = self._served = self._seen = False
        self._last_code = 0
        self._exit: int | None = None

    def run(self) -> int:
        """Start it and tend it until its end; the exit code to end with."""
        self._start = Command(self._argv, self._env, user=self._plan.user, keeps_lock=True)
        while self._exit is None:
            wait_ns = max(self._next_ns() - kernel.boottime_ns(), 0)
            for descriptor, _events in self._poll.poll(-(-wait_ns // _NS_PER_MS)):
                if descriptor == self._woken:
                    self._wake()
                elif self._status and descriptor == self._status.pipe:
                    self._read_status()
            self._step(kernel.boottime_ns())
        return self._exit

    def _say(self, sentence: str) -> None:
        os.write(2, f"standfast: {sentence}\n".encode())

    def _end(self, code: int, sentence: str) -> None:
        if self._exit is None:
            self._exit = code
            self._note(None, sentence, kernel.boottime_ns())
            self._say(sentence)

    # ------------------------------------------------------------ what happened

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in set(os.read(self._woken, _WAKE_BYTES)):
                if number in (signal.SIGTERM, HURRY):
                    self._begin_stop(self._plan.hurry_ns if number == HURRY else self._plan.stop_ns)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._reaped(*ended)

    def _reaped(self, pid: int, status: int) -> None:
        aside = self._asides.pop(pid, None)
        if aside is not None:
            if aside.pipe >= 0:
                self._poll.unregister(aside.pipe)
            aside.ended(status)
            if aside is self._status:
                self._answered(aside)
        elif self._start and pid == self._start.pid:
            self._start.ended(status)
            self._judge_start(self._start.code or 0)
        else:
            code = os.waitstatus_to_exitcode(status)
            self._last_code = code if code >= 0 else SIGNAL_BASE - code

    def _judge_start(self, code: int) -> None:
        if self._plan.foreground:
            self._end(0 if self._ladder else code, f"it has ended with exit code {code}")
        elif code not in self._plan.started and not self._ladder:
            self._end(code or 1, f"the start command has failed with exit code {code}: {' '.join(self._argv)}")
        self._started = True

    def _begin_stop(self, budget_ns: int) -> None:
        now = kernel.boottime_ns()
        if self._ladder is None:
            self._ladder = Ladder(self._plan.stop, now, budget_ns)
            self._note(None, "it is being stopped", now)
        else:
            self._ladder.hurry(now, budget_ns)

    # ------------------------------------------------------------ what is due

    def _next_ns(self) -> int:
        now = kernel.boottime_ns()
        due = [aside.until_ns for aside in self._asides.values() if aside.until_ns and not aside.late]
        if self._ladder and self._ladder.ends_ns is not None:
            due.append(self._ladder.ends_ns)
        if self._wants_status:
            due.append(self._ask_ns)
        return min([now + _OUTSIDE_NS, *due])

    @property
    def _wants_status(self) -> bool:
        useful = bool(self._plan.stopped) if self._ladder else True
        return bool(self._plan.status) and self._status is None and self._is_up and useful

    @property
    def _is_up(self) -> bool:
        return self._started or self._plan.foreground

    def _step(self, now: int) -> None:
        for aside in list(self._asides.values()):
            if aside.until_ns and now >= aside.until_ns and not aside.late:
                aside.kill()
                if aside is self._status:
                    self._status = None
                    if aside.pipe >= 0:
                        self._poll.unregister(aside.pipe)
                        aside.close()
                    self._note(None, f"no answer within {self._plan.deadline_ns // _NS_PER_MS} ms", now)
        if self._is_up and not self._alive():
            self._all_gone()
        if self._ladder:
            self._climb(self._ladder, now)
        if self._exit is None and self._wants_status and now >= self._ask_ns:
            self._ask(now)

    def _own(self) -> list[int]:
        """Children that are the queue manager's, or the start command."""
        return [pid for pid in processes.children_of(os.getpid()) if pid not in self._asides]

    def _alive(self) -> bool:
        """Whether something of it lives, as far as that can be seen without asking it."""
        found = self._plan.processless or bool(self._outside.populated() if self._outside else self._own())
        self._seen = self._seen or found
        return found

    def _all_gone(self) -> None:
        if self._ladder:
            self._end(0, "it has stopped")
        elif not self._seen:
            self._end(
                EXIT_NOTHING_LEFT,
                "the start command has returned and left no process here. What it had others start can not be ended "
                "when the lease runs out, so it may not run",
            )
        elif self._outside:
            self._end(EXIT_OUTSIDE_ENDED, "its last process has ended")
        else:
            self._end(self._last_code, f"its last process has ended with exit code {self._last_code}")

    # ------------------------------------------------------------ its stop

    def _climb(self, ladder: Ladder, now: int) -> None:
        """Begin the next stage when the one that is on has failed or is over."""
        failed = self._stopper is not None and self._stopper.code not in (None, 0)
        done = self._stopper is not None and self._stopper.code == 0
        if done and self._plan.processless:
            self._end(0, "the stop command says that it has stopped")
        if self._exit is not None or (ladder.ends_ns is not None and now < ladder.ends_ns and not failed):
            return
        ladder.index += 1
        if ladder.over:
            self._end(EXIT_STOP_OVER, "it did not stop in time: what is left of it is killed")
            return
        stage = self._plan.stop[ladder.index]
        self._stopper = None
        for pid in self._own():
            self._signal(pid, signal.SIGCONT)
        if stage.argv:
            self._stopper = Command(stage.argv, self._env, user=self._plan.user)
            self._asides[self._stopper.pid] = self._stopper
        else:
            for pid in self._own():
                self._signal(pid, stage.signal)

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)

    # ------------------------------------------------------------ whether it serves

    def _ask(self, now: int) -> None:
        if sum(aside.late for aside in self._asides.values()) >= MOST_STUCK:
            self._note(None, f"{MOST_STUCK} status commands hang and can not be killed: no more are started", now)
            return
        status = Command(
            self._plan.status, self._env, user=self._plan.user, listen=True, until_ns=now + self._plan.deadline_ns
        )
        self._status = self._asides[status.pid] = status
        self._poll.register(status.pipe, select.POLLIN)

    def _read_status(self) -> None:
        assert self._status is not None, "only a running status command is polled"
        pipe = self._status.pipe
        self._status.read()
        if self._status.pipe < 0:
            self._poll.unregister(pipe)

    def _answered(self, status: Command) -> None:
        self._status = None
        self._note(status.code, status.output, kernel.boottime_ns())
        if status.code in self._plan.serves:
            self._served = True
        elif status.code in self._plan.stopped and (self._served or self._ladder):
            self._end(
                0 if self._ladder else EXIT_SAYS_STOPPED, f"the status command says that it does not run: {status.code}"
            )

    def _note(self, code: int | None, output: str, now: int) -> None:
        """Write the answer down, for the daemon; an old one counts as none."""
        calm = code in self._plan.serves and not self._ladder
        self._ask_ns = now + (self._plan.every_ns if calm else _IMPATIENT_NS)
        fresh = Path(f"{self._plan.status_file}.new")
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps({"code": code, "output": output, "at_ns": now}))
            fresh.rename(self._plan.status_file)
