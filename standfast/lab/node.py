"""One node of a lab: a member's daemon with all that hangs on it, started, stopped, killed, frozen."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from standfast.errors import MachineError
from standfast.lab import plan, processes
from standfast.member.daemon import LOCK as DAEMON_LOCK
from standfast.member.warden_run_dir import ProcessRecord, RunDir

STOP_S = 30.0
KILL_S = 10.0
_TOLD_LINES = 3


class Node:
    """Member `name` of the lab in `directory`; `inside`: what to put before a command to run it on its machine."""

    def __init__(self, directory: Path, name: str, inside: Callable[[], Sequence[str]] = tuple) -> None:
        self.name = name
        self.socket = directory / plan.RUN / f"{name}.sock"
        self.log = directory / f"{name}.log"
        self._directory = directory
        self._inside = inside
        self._run_dir = RunDir(directory / plan.RUN / name)
        self._pid_file = directory / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of its daemon; None when it does not run."""
        try:
            pid, started_ticks = map(int, self._pid_file.read_text(encoding="ascii").split())
        except (FileNotFoundError, ValueError):
            return None
        self._reap()
        return pid if ProcessRecord(pid, started_ticks).alive() else None

    @property
    def failure(self) -> str:
        """What its daemon said last when it ended by itself with an error; empty when it did not."""
        self._reap()
        if self._process is None or (self._process.returncode or 0) <= 0:
            return ""
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_TOLD_LINES:]
        return f"Node {self.name} ended with exit code {self._process.returncode}: " + " ".join(said)

    def start(self) -> None:
        """Start its daemon; raises MachineError when it runs already."""
        if self.pid is not None:
            raise MachineError(f"Node {self.name} runs already (pid {self.pid}).")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                (
                    *self._inside(),
                    *(sys.executable, "-m", "standfast", "run", "--member", self.name),
                    *("--file", str(self._directory / plan.CLUSTER_FILE)),
                    *("--state-dir", str(self._directory / plan.STATE / self.name)),
                    *("--run-dir", str(self._directory / plan.RUN)),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._note(ProcessRecord.of(self._process.pid))

    def _note(self, daemon: ProcessRecord) -> None:
        self._pid_file.write_text(f"{daemon.pid} {daemon.started_ticks}\n", encoding="ascii")

    def kill(self) -> None:
        """SIGKILL to daemon, warden, etcd and queue managers at once, as a power cut would end them."""
        if not processes.await_end(processes.kill_at_once(self.living), KILL_S):
            raise MachineError(f"Node {self.name} could not be killed within {KILL_S:g} s.")
        self._reap()

    def kill_daemon(self) -> None:
        """SIGKILL to its daemon alone, and wait until it is gone: warden and queue managers go on."""
        pid = self.pid
        if pid is not None:
            processes.signal_all([pid], signal.SIGKILL)
            if not processes.await_end([pid], KILL_S):
                raise MachineError(f"The daemon of node {self.name} could not be killed within {KILL_S:g} s.")
        self._reap()

    def succeeded(self, pid: int) -> None:
        """The daemon has given way to a successor, which holds its lock now: that one is meant from here on."""
        self._reap()
        if not processes.await_end([pid], KILL_S):
            raise MachineError(f"The daemon of node {self.name} (pid {pid}) did not give way within {KILL_S:g} s.")
        until = time.monotonic() + KILL_S
        lock = self._run_dir.path / DAEMON_LOCK
        # While the successor takes the lock the file is empty for a moment.
        while (successor := int(lock.read_text(encoding="ascii") or 0)) in {0, pid}:
            if time.monotonic() >= until:
                raise MachineError(f"The successor of node {self.name}'s daemon did not begin within {KILL_S:g} s.")
            time.sleep(processes.POLL_S)
        self._note(ProcessRecord.of(successor))

    def living(self) -> list[int]:
        """All processes of it: daemon, etcd, warden, queue managers; the warden's also when the daemon is dead."""
        pid, watch = self.pid, self._run_dir.warden()
        recorded = [*(watch[1:3] if watch else ()), *(launch.main for launch in self._run_dir.launches())]
        return processes.tree([*([pid] if pid else []), *(process.pid for process in recorded if process.alive())])

    def stop(self) -> None:
        """Stop it cleanly: it hands over first. Raises MachineError when it takes too long."""
        self.ask_to_stop()
        self.await_stop()

    def ask_to_stop(self) -> None:
        """Send SIGTERM to its daemon."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def await_stop(self) -> None:
        """Wait until its daemon has ended; raises MachineError when it takes too long."""
        pid = self.pid
        if pid is not None and not processes.await_end([pid], STOP_S):
            raise MachineError(f"Node {self.name} did not stop within {STOP_S:g} s; its log is {self.log}.")
        self._reap()

    def pause(self) -> None:
        """SIGSTOP to its daemon alone: warden, etcd and queue managers go on."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGCONT)

    def queue_manager_pid(self, qm: str) -> int | None:
        """Main process of a queue manager that runs on this node, None when it does not."""
        return next((one.main.pid for one in self._run_dir.launches() if one.qm == qm and one.main.alive()), None)

    def kill_process(self, pid: int) -> None:
        """SIGKILL to one of its processes."""
        processes.signal_all([pid], signal.SIGKILL)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.poll()
