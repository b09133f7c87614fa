"""A real cluster on the three machines: a and b may run queue managers, w only votes."""

import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.vm import nfs
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
ASKED = f'status = ["python3", "{WRITER}", "ask", "{{address}}", "{{port}}"]\n'
"""An option: whether it serves is asked by a program, which notices also when writes hang."""
START_S = 90.0
ANSWER_S = 5.0
"""A member answers in milliseconds, whatever becomes of its storage."""


class Cluster:
    """Of machines that are up.

    Args:
        lab: its machines.
        storage: lines of the table [queue_manager.storage].
        member: of each data member.
        options: of the table [queue_manager.options].
        limits: of [[queue_manager]].
    """

    def __init__(self, lab: Lab, storage: str = "", *, member: str = "", options: str = "", limits: str = "") -> None:
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
            text = re.sub(r"(?m)^\[queue_manager.options\]\n", "", text) + OPTIONS + options
            text = re.sub(r"(?m)^\[\[queue_manager\]\]", f"[[queue_manager]]\n{limits}", text)
            for name, machine in self.machines.items():
                machine.sh("rm -rf /var/lib/standfast /run/standfast /etc/standfast /var/log/standfast-*")  # of others
                machine.put(FILE, text)
                machine.put(PROGRAM, f'#!/bin/sh\nPYTHONPATH={PYTHONPATH} exec python3 -m standfast "$@"\n')
                for path in (out / "trust" / name).iterdir():
                    machine.put(f"/etc/standfast/trust/{name}/{path.name}", path.read_text())
                machine.sh(f"chmod 755 {PROGRAM}; chmod -R go= /etc/standfast/trust; mkdir -p /data /run/standfast")
                machine.sh("sync")  # the power may be cut soon

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

    def status(self, by: str = "w") -> dict[str, Any]:
        """What a member knows of everything, empty when it does not answer."""
        asked = ('{"do": "hello"}', '{"do": "status"}')
        done = self.machines[by].converse(f"/run/standfast/{by}.sock", *asked, timeout_s=ANSWER_S)
        return json.loads(done.out.splitlines()[1]) if done.code == 0 else {}  # type: ignore[no-any-return]

    def queue_manager(self, by: str = "w") -> dict[str, Any]:
        """What a member says of the queue manager."""
        found = self.status(by)
        return next((qm for qm in found.get("queue_managers", ()) if qm["name"] == QM), {})

    def owner(self, by: str = "w") -> str | None:
        """Where it runs, by the word of a member; None: nowhere."""
        found = self.queue_manager(by)
        return found.get("owner") if found.get("phase") == "running" else None

    def pair(self) -> tuple[str, str]:
        """The owner, and the one that could take over."""
        owner = self.owner()
        assert owner is not None
        return owner, "b" if owner == "a" else "a"

    def member(self, name: str, by: str = "w") -> dict[str, Any]:
        """What a member says of another one."""
        found = self.status(by)
        return next((member for member in found.get("members", ()) if member["name"] == name), {})

    def runs_on(self, machine: Machine) -> bool:
        """Whether a process of it exists there."""
        return machine.call("pgrep", "-f", "writer.py serve").code == 0

    def send(self) -> None:
        """w sends numbers without end."""
        self.machines["w"].sh(f"nohup python3 {WRITER} send 10.79.0.1,10.79.0.2 {PORT} >/tmp/acked 2>&1 </dev/null &")

    def acked(self) -> dict[int, float]:
        """What was acknowledged so far, and when, in seconds of w's clock."""
        pairs = (line.split() for line in self.machines["w"].sh("cat /tmp/acked").splitlines())
        return {int(number): float(at_s) for number, at_s in pairs}

    def longest_pause_s(self, after: int) -> float:
        """Longest time without an acknowledgement since that number was acknowledged."""
        at_s = sorted(when_s for number, when_s in self.acked().items() if number >= after)
        return max(later - earlier for earlier, later in itertools.pairwise(at_s))

    def written(self, on: str) -> list[int]:
        """What the queue manager's file holds."""
        return [int(line) for line in self.machines[on].sh(f"cat /data/{QM}/written").splitlines()]

    def audit(self, on: str) -> None:
        """More is acknowledged, and everything that ever was is there."""
        before = max(self.acked())
        until("numbers are acknowledged again", lambda: max(self.acked()) > before + 5)
        acked = set(self.acked())
        lost = acked - set(self.written(on))
        assert not lost, sorted(lost)[:10]

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        """Stored events of these kinds, as w has them."""
        lines = self.machines["w"].standfast("events", "--json").out.splitlines()
        return [event for line in lines if (event := json.loads(line))["kind"] in kinds]


def on_nfs(lab: Lab, options: str = "") -> Iterator[Cluster]:
    """One whose data lie on the lab's server, numbers being sent by w. In the end all its machines are dead."""
    lab.power_on()
    nfs.serve(lab.server)
    made = Cluster(lab, options=options, limits="start_timeout_s = 20")
    for machine in lab.machines[:2]:
        nfs.mount(machine, lab.server, at="/data")
    lab.machines[0].sh("rm -rf /data/*")  # of another test
    made.start()
    try:
        made.until_served()
        made.send()
        until("numbers are acknowledged", made.acked)
        yield made
    finally:
        for machine in lab.machines:
            machine.power_off()
