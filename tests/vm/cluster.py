"""A real cluster on the three machines: a and b may run queue managers, w only votes."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.vm.image import CHECKOUT
from tests.vm.machines import PYTHONPATH, Failed, Lab, Machine
from tests.vm.waiting import until

NAMES = ("a", "b", "w")
QM, PORT = "orders", 1883
FILE = "/etc/standfast/cluster.toml"
WRITER = f"{CHECKOUT}/tests/vm/writer.py"
PROGRAM = "/usr/local/bin/standfast"
OPTIONS = f"""
[queue_manager.options]
start = ["python3", "{WRITER}", "serve", "{{data_dir}}/written", "{{address}}", "{{port}}"]
foreground = true
"""
START_S = 90.0


class Cluster:
    """Of machines that are up; `storage`: lines of the table [queue_manager.storage]; `member`: of each data member."""

    def __init__(self, lab: Lab, storage: str, member: str = "") -> None:
        self.lab = lab
        self.machines = dict(zip(NAMES, lab.machines, strict=True))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "made"
            subprocess.run(
                [
                    *(sys.executable, "-m", "standfast", "init", "--cluster", "vm", "--out", str(out)),
                    *("--data", "a=10.79.0.1", "--data", "b=10.79.0.2", "--witness", "w=10.79.0.3"),
                    *("--queue-manager", f"{QM}:command:{PORT}:/data/{QM}"),
                ],
                check=True,
                capture_output=True,
            )
            text = (out / "cluster.toml").read_text()
            text = re.sub(r'(?m)^role = "data"', f'role = "data"\n{member}', text)
            text = re.sub(r"(?m)^\[queue_manager.storage\]", f"[queue_manager.storage]\n{storage}", text)
            text = re.sub(r"(?m)^\[queue_manager.options\]\n", "", text) + OPTIONS
            for name, machine in self.machines.items():
                machine.sh("rm -rf /var/lib/standfast /run/standfast /etc/standfast /var/log/standfast-*")  # of others
                machine.put(FILE, text)
                machine.put(PROGRAM, f'#!/bin/sh\nPYTHONPATH={PYTHONPATH} exec python3 -m standfast "$@"\n')
                for path in (out / "trust" / name).iterdir():
                    machine.put(f"/etc/standfast/trust/{name}/{path.name}", path.read_text())
                machine.sh(f"chmod 755 {PROGRAM}; chmod -R go= /etc/standfast/trust; mkdir -p /data /run/standfast")

    def start(self, *names: str) -> None:
        """Start the daemons, of all or of these."""
        for name in names or NAMES:
            self.machines[name].sh(
                f"nohup {PROGRAM} run --member {name} >>/var/log/standfast-{name}.log 2>&1 </dev/null & "
                f"echo $! >/run/standfast.pid"
            )

    def until_served(self) -> str:
        """Wait until a member serves; which one. Raises Failed, with what the daemons said."""
        try:
            until("served by a member", self.owner, START_S)
        except Failed as failed:
            logs = "\n".join(f"-- {name}\n{self.log(name)[-2000:]}" for name in NAMES)
            raise Failed(f"{failed}\n{logs}") from None
        return str(self.owner())

    def log(self, name: str) -> str:
        """What a daemon has said."""
        return self.machines[name].sh(f"cat /var/log/standfast-{name}.log")

    def ask(self, by: str, *command: str) -> dict[str, Any]:
        """The JSON that a member answers, empty when it does not."""
        done = self.machines[by].standfast(*command, "--json")
        return json.loads(done.out) if done.code == 0 else {}  # type: ignore[no-any-return]

    def queue_manager(self, by: str = "w") -> dict[str, Any]:
        """What a member says of the queue manager."""
        found = self.ask(by, "status")
        return next((qm for qm in found.get("queue_managers", ()) if qm["name"] == QM), {})

    def owner(self, by: str = "w") -> str | None:
        """Where it runs, by the word of a member; None: nowhere."""
        found = self.queue_manager(by)
        return found.get("owner") if found.get("phase") == "running" else None

    def member(self, name: str, by: str = "w") -> dict[str, Any]:
        """What a member says of another one."""
        found = self.ask(by, "status")
        return next((member for member in found.get("members", ()) if member["name"] == name), {})

    def runs_on(self, machine: Machine) -> bool:
        """Whether a process of it exists there."""
        return machine.call("pgrep", "-f", "writer.py serve").code == 0

    def send(self) -> None:
        """w sends numbers without end."""
        self.machines["w"].sh(f"nohup python3 {WRITER} send 10.79.0.1,10.79.0.2 {PORT} >/tmp/acked 2>&1 </dev/null &")

    def acked(self) -> dict[int, float]:
        """What was acknowledged so far, and how long each took."""
        pairs = (line.split() for line in self.machines["w"].sh("cat /tmp/acked").splitlines())
        return {int(number): float(took_s) for number, took_s in pairs}

    def written(self, on: str) -> list[int]:
        """What the queue manager's file holds."""
        return [int(line) for line in self.machines[on].sh(f"cat /data/{QM}/written").splitlines()]
