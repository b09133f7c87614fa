"""A stand-in for systemd that runs, and the units that tests give it."""

import atexit
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tests.standins import systemd


class StandIn:
    """One server in a directory of its own, outside of every queue manager's processes."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="standfast-test-"))
        self.runtime = self.base / "run"
        for name in ("units", "run"):
            (self.base / name).mkdir()
        self.systemctl = self.base / "systemctl"
        self.systemctl.write_text(f"#!{sys.executable} -IS\n" + Path(systemd.__file__).read_text())
        self.systemctl.chmod(0o755)
        self._server = subprocess.Popen([sys.executable, "-I", "-S", systemd.__file__, "serve", str(self.base)])
        while not (self.base / "socket").exists():
            assert self._server.poll() is None
            time.sleep(0.005)

    def write(self, unit: str, command: str, *more: str) -> None:
        """A unit file with that shell command in the foreground."""
        lines = ["[Service]", f"ExecStart=exec {command}", *more]
        (self.base / "units" / unit).write_text("\n".join(lines) + "\n")

    def ask(self, *words: str) -> str:
        return subprocess.run([self.systemctl, *words], check=False, capture_output=True, text=True).stdout.strip()

    def jobs(self) -> bool:
        """Whether a start has been asked for that has not come to anything yet."""
        return any(self.base.glob("job-*"))

    def close(self) -> None:
        self._server.kill()
        self._server.wait()
        shutil.rmtree(self.base)


@cache
def stand_in() -> StandIn:
    """The one that all tests of this process share."""
    made = StandIn()
    atexit.register(made.close)
    return made
