"""One node of a lab: a member's daemon with all that hangs on it, started, stopped, killed, frozen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from standfast.errors import MachineError
from standfast.lab import plan, processes
from standfast.member.warden_run_dir import RunDir

STOP_S = 30.0
KILL_S = 10.0


class Node:
    """Member `name` of the lab in `directory`."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.socket = directory / plan.RUN / f"{name}.sock"
        self.log = directory / f"{name}.log"
        self._directory = directory
        self._pid_file = directory / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of its daemon; None when it does not run."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None
        self._reap()
        return pid if processes.alive(pid) else None

    def start(self) -> None:
        """Start its daemon; raises MachineError when it runs already."""
        if self.pid is not None:
            raise MachineError(f"Node {self.name} runs already (pid {self.pid}).")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                (
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
        self._pid_file.write_text(f"{self._process.pid}\n", encoding="ascii")

    def kill(self) -> None:
        """SIGKILL to daemon, warden, etcd and queue managers at once, as a power cut would end them."""
        pid = self.pid
        if pid is None:
            return
        doomed = processes.tree(pid)
        processes.kill_at_once(doomed)
        if not processes.await_end(doomed, KILL_S):
            raise MachineError(f"Node {self.name} could not be killed within {KILL_S:g} s.")
        self._reap()

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
        launches = RunDir(self._directory / plan.RUN / self.name).launches()
        return next((one.main.pid for one in launches if one.qm == qm and one.main.alive()), None)

    def kill_process(self, pid: int) -> None:
        """SIGKILL to one of its processes."""
        processes.signal_all([pid], signal.SIGKILL)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.poll()
