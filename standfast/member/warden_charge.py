"""A charge: one queue manager's processes, in the warden's care from the fork until none of them is left.

Guarantees: after `kill`, every process of it that the kernel can end has ended or has SIGKILL pending, but for those
that detached themselves wholly; `leftovers` finds these, and the warden asks again with every child that dies.
`gone` is true only when no process of it is left. Standard library only.
"""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from standfast.member import processes
from standfast.member import warden_kernel as kernel
from standfast.member.launch import Launchpad, Order, become
from standfast.member.processes import Cgroup
from standfast.member.warden_outside import OutsideBox
from standfast.member.warden_protocol import Cause, Stage
from standfast.member.warden_run_dir import RunDir
from standfast.storage.refusal import LaunchRefusal

_PIPE_BYTES = 65_536
_NS_PER_US = 1000


class Charge:
    """One launch of one queue manager.

    Attributes:
        order: what was asked for.
        pid: of the main process, which leads its session and group.
        stage: see Stage.
        cause: of its end, as far as the warden had a hand in it.
        pipe: descriptor of the launch's answer while it is claiming; -1 afterwards.
        gone_fd: descriptor whose POLLPRI tells of the cgroup's last process; -1 without cgroup.
        lease_stopped: whether it was asked to stop because the lease runs out.
        lease_killed: likewise killed.
    """

    def __init__(self, order: Order, box_path: Path | None, run_dir: RunDir, exec_before: kernel.SharedMoment) -> None:
        """Fork the launch; raises OSError when the kernel refuses a cgroup or a process."""
        self.order = order
        self.stage = Stage.CLAIMING
        self.cause = Cause.ITSELF
        self.lease_stopped = self.lease_killed = False
        self.gone_fd = -1
        self._refusal: dict[str, Any] | None = None
        self._answer = b""
        self._status = 0
        self._began_ns = kernel.boottime_ns()
        self._outside = OutsideBox(order.plan.outside) if order.plan and order.plan.outside else None
        self._box = Cgroup(box_path).make() if box_path else None
        self.pipe, tell = os.pipe()
        try:
            if self._box:
                self.gone_fd = self._box.watch()
            warden = os.getpid()
            self.pid, contained = self._box.fork() if self._box else (os.fork(), True)
        except OSError:
            os.close(tell)
            self.close()
            raise
        if self.pid == 0:
            become(order, Launchpad(warden, self._box, contained, exec_before, run_dir), tell)
        os.close(tell)
        os.set_blocking(self.pipe, False)

    def fields(self, **more: Any) -> dict[str, Any]:
        """Its name and epoch, as every report carries them."""
        return {"qm": self.order.qm, "epoch": self.order.epoch, **more}

    def found(self) -> dict[str, Any]:
        """What a daemon that comes later must know of it."""
        return self.fields(pid=self.pid, stage=self.stage, stopping=self.cause is not Cause.ITSELF)

    def hear(self) -> dict[str, Any] | None:
        """Read the launch's answer; the `launched` report once the program was executed.

        A process killed in the very moment of its exec counts as launched: it may have been.
        """
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.pipe, _PIPE_BYTES):
                self._answer += part
            return self._executed()
        return None

    def _executed(self) -> dict[str, Any] | None:
        """The pipe was closed: by the exec, or by the end of the process."""
        os.close(self.pipe)
        self.pipe = -1
        said = [json.loads(line) for line in self._answer.splitlines()]
        last = said[-1] if said else {"refused": LaunchRefusal.KILLED, "detail": ""}
        if "refused" in last:
            self._refusal = {"code": last["refused"], "detail": last["detail"]}
            return None
        self.stage = Stage.RUNNING
        took_ns = kernel.boottime_ns() - self._began_ns
        return {"report": "launched"} | self.fields(
            pid=self.pid, claim_us=last["claim_us"], total_us=took_ns // _NS_PER_US
        )

    def ask_to_stop(self, cause: Cause) -> None:
        """Its stop signal to the main process, and SIGCONT to the group so that it can act on it.

        A launch that has not executed its program yet has nothing to stop gracefully: it is killed.
        """
        if self.stage is Stage.CLAIMING:
            self.kill(cause)
        elif self.stage is Stage.RUNNING:
            self._blame(cause)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, self.order.hurry_signal if cause is Cause.LEASE else self.order.stop_signal)
                os.killpg(self.pid, signal.SIGCONT)

    def kill(self, cause: Cause) -> None:
        """SIGKILL to everything of it."""
        self._blame(cause)
        if self._box:
            self._box.kill()
        if self.stage is not Stage.ENDING:  # later the pid is not its own any more
            processes.kill(self.pid)
        if self._outside:
            self._outside.end()

    def _blame(self, cause: Cause) -> None:
        """The first cause counts, but a kill takes over from a stop; once the main process has ended it is settled."""
        if self.stage is not Stage.ENDING and self.cause in (Cause.ITSELF, Cause.STOP):
            self.cause = cause

    def main_ended(self) -> None:
        """The main process is a zombie still: its group can be killed safely, then it is reaped."""
        assert self.pipe < 0, "the launch's answer must be heard before its end"
        if self._box:
            self._box.kill()
        processes.kill(self.pid)
        if self._outside:
            self._outside.end()
        _, self._status = os.waitpid(self.pid, 0)
        self.stage = Stage.ENDING

    def holds(self, pid: int) -> bool:
        """Whether that process is known to be its own: of its session or in its cgroup."""
        if self.stage is Stage.ENDING:
            return False
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == self.pid:
                return True
        return self._box is not None and pid in self._box.pids()

    def empty(self) -> bool:
        """Whether its main process was reaped and its cgroups, if any, are empty."""
        if self.stage is not Stage.ENDING or (self._box and self._box.populated()):
            return False
        # Only now can nobody of it make the permit again.
        return self._outside is None or self._outside.empty()

    @property
    def unheard(self) -> bool:
        """Whether it is ending in a cgroup whose end nobody tells: it must be looked at again."""
        return self._outside is not None and self.stage is Stage.ENDING

    def last_words(self) -> dict[str, Any]:
        """The report of its end."""
        if self._refusal is not None:
            return {"report": "refused"} | self.fields(**self._refusal)
        code = os.waitstatus_to_exitcode(self._status)
        return {"report": "exited"} | self.fields(
            pid=self.pid,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            cause=self.cause,
        )

    def close(self) -> None:
        """Give the descriptors and the cgroup back."""
        for descriptor in (self.pipe, self.gone_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.pipe = self.gone_fd = -1
        if self._box:
            self._box.remove()
