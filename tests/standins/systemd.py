"""A stand-in for systemd as process 1 and for systemctl, for machines on which systemd is not process 1.

As little as the driver `systemd` needs, as systemctl(1), systemd.unit(5) and systemd.service(5) document it:

- `show --property A,B UNIT`, `daemon-reload`, `reset-failed`, `start`, `stop`, `is-active`, `is-system-running`,
  `--version`, with their exit codes (is-active: 3 when inactive; start: 0 when a condition is not met, 5 not loaded);
- units and drop-ins are read at daemon-reload (the first time by themselves), not when they change;
- ConditionPathExists is looked at when the start job runs: not while DIR/hold exists, as in a busy process 1;
- processes are children of the server, in a cgroup of their own below Slice=; Restart=always is obeyed;
- stop sends SIGTERM, and SIGKILL after TimeoutStopSec.

`systemd.py serve DIR` is the server: units in DIR/units, runtime drop-ins in DIR/run, its socket DIR/socket.
Executed as DIR/systemctl (a copy of this file) it is systemctl.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

VERSION = "systemd 252 (a stand-in for tests)"
STOP_S = 90.0


def cgroup_mount() -> Path:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] == "cgroup2":
            return Path(left.split()[4])
    raise AssertionError("no cgroups of version 2")


class Unit:
    def __init__(self, base: Path, name: str) -> None:
        self.name, self.base = name, base
        self.settings: dict[str, str] = {}
        self.loaded = False
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        self.result = "inactive"
        self.home = ""
        self.reload()

    def reload(self) -> None:
        files = [self.base / "units" / self.name, *sorted((self.base / "run" / f"{self.name}.d").glob("*.conf"))]
        self.loaded = files[0].exists()
        self.settings = {}
        for file in files if self.loaded else ():
            self.settings |= dict(re.findall(r"^([A-Za-z]+)=(.*)$", file.read_text(), re.MULTILINE))

    @property
    def slice(self) -> str:
        return self.settings.get("Slice", "system.slice")

    @property
    def group(self) -> Path:
        return cgroup_mount() / self.home.lstrip("/")

    @property
    def active(self) -> str:
        return "active" if self.process else self.result

    def show(self) -> dict[str, str]:
        return {
            "LoadState": "loaded" if self.loaded else "not-found",
            "UnitFileState": self.settings.get("UnitFileState", "disabled"),
            "Restart": self.settings.get("Restart", "no"),
            "Slice": self.slice,
            "ActiveState": self.active,
            "ControlGroup": self.home if self.process else "",
        }

    def start(self) -> int:
        if not self.loaded:
            return 5
        job = self.base / f"job-{self.name}"
        job.touch()
        while (self.base / "hold").exists():
            time.sleep(0.002)
        job.unlink()
        condition = self.settings.get("ConditionPathExists")
        if self.process or (condition and not Path(condition).exists()):
            return 0
        self.home = f"/{self.slice}/{self.name}"  # it stays there, whatever the settings become meanwhile
        self.group.mkdir(parents=True, exist_ok=True)
        self.wanted = True
        joined = f"echo $$ >{self.group}/cgroup.procs && {self.settings['ExecStart']}"
        self.process = subprocess.Popen(joined, shell=True, start_new_session=True)
        threading.Thread(target=self._watch, args=(self.process,), daemon=True).start()
        return 0

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        self._kill()
        self.result, self.process = "failed" if code else "inactive", None
        with contextlib.suppress(OSError):
            self.group.rmdir()
        if self.wanted and self.settings.get("Restart") == "always":
            self.start()

    def _kill(self) -> None:
        while pids := (self.group / "cgroup.procs").read_text().split():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.002)

    def stop(self) -> int:
        self.wanted, process = False, self.process
        if process:
            for pid in (self.group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(float(self.settings.get("TimeoutStopSec", STOP_S)))
            process.kill()
            while self.process:
                time.sleep(0.002)
        return 0


class Server:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.units: dict[str, Unit] = {}

    def serve(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.base / "socket"))
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as lines:
            code, text = self.obey(json.loads(lines.readline()))
            with contextlib.suppress(OSError):
                lines.write(json.dumps([code, text]) + "\n")
                lines.flush()

    def obey(self, words: list[str]) -> tuple[int, str]:
        verb, name = words[0], words[-1]
        if verb == "--version":
            return 0, VERSION
        if verb == "is-system-running":
            return 0, "running"
        if verb == "daemon-reload":
            for unit in self.units.values():
                unit.reload()
            return 0, ""
        unit = self.units.setdefault(name, Unit(self.base, name))
        if verb == "show":
            wanted = words[words.index("--property") + 1].split(",")
            return 0, "\n".join(f"{key}={unit.show().get(key, '')}" for key in wanted)
        if verb == "is-active":
            return (0 if unit.active == "active" else 3), unit.active
        if verb == "reset-failed":
            unit.result = "inactive"
            return 0, ""
        return (unit.start() if verb == "start" else unit.stop()), ""


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        Server(Path(sys.argv[2])).serve()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(str(Path(sys.argv[0]).parent / "socket"))
        with server.makefile("rw") as lines:
            lines.write(json.dumps(sys.argv[1:]) + "\n")
            lines.flush()
            code, text = json.loads(lines.readline())
    if text:
        sys.stdout.write(f"{text}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
