"""Four machines with kernels of their own: power, cables, and commands run on them.

Each is one User Mode Linux in a PID and mount namespace of its own, so that killing one process is the power cut of one
machine. Commands go over its serial line, not over its network: a test may cut that. Disks outlive power cuts, as far
as the guest's kernel had given them the data; a machine's writes that lie in its own page cache are lost with it.
"""

import compileall
import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.vm.image import CHECKOUT, KERNEL, VM_DIR, base, modules, site_packages

BRIDGE, NETNS = "lan", VM_DIR.name
BOOT_S = 60.0
COMMAND_S = 60.0
ANSWER_MARGIN_S = 10.0
POLL_S = 0.1
LINE_BYTES = 4000
"""What a terminal line takes at once; more is lost."""
HANDED = "handed"
"""Folder of files that are handed to a machine."""
DATA_DISK_BYTES = 96 << 20
MEMORY = "384M"
BOX = (
    *("nice", "-n", "-10"),
    *("ip", "netns", "exec", NETNS),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
)
"""What a machine's kernel runs in: when `unshare` is killed, everything in it is. A busy host must not make it
stand still for a second: members would rightly hold it for dead."""
START = """
set -e
share=$1 modules=$2 shares=$3
shift 3
mount --bind "$modules" "$share/modules"
mount -o remount,bind,ro "$share/modules"
for path in $shares; do
    mount --bind "$path" "$share$path"
    mount -o remount,bind,ro "$share$path"
done
mount -t tmpfs tmp "$TMPDIR"
"$@" || true  # not exec: the first process of a namespace ignores the signal by which this kernel resets itself
"""


PLAIN, DISTURBED = 0, 1
"""Bands of the queue of what a machine sends, as its map counts them."""
DISTURB = """
modprobe -a sch_prio sch_netem cls_u32
tc qdisc add dev lan0 root handle 1: prio bands 2 priomap {bands}
tc qdisc add dev lan0 parent 1:2 handle 2: netem {how} limit 10000
"""


class Failed(AssertionError):  # noqa: N818 - a finding
    """A command on a machine ended with another code than wanted."""


class Done(NamedTuple):
    """How a command ended: its exit code, None when it was killed at its deadline."""

    code: int | None
    out: str
    err: str


class Machine:
    """One machine; `number` from 1 on, also the last part of its address."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.name = f"vm{number}"
        self.address = f"10.79.0.{number}"
        self._folder = folder / self.name
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._count = 0
        self._lock = threading.Lock()

    # ------------------------------------------------------------ power

    @property
    def up(self) -> bool:
        """Whether its kernel runs."""
        return self._process is not None and self._process.poll() is None

    def power_on(self) -> None:
        """Switch it on; `ready` waits until it runs commands."""
        assert not self.up
        folder, share = self._folder, self._folder / "share"
        shares = (CHECKOUT, site_packages())
        for path in ("modules", HANDED, *(str(s).lstrip("/") for s in shares)):
            (share / path).mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        disk = folder / "data.raw"
        if not disk.exists():
            with disk.open("wb") as file:
                file.truncate(DATA_DISK_BYTES)
        self._line, theirs = socket.socketpair()
        self._answers = {0: queue.Queue()}
        line = theirs.fileno()
        kernel = [
            str(KERNEL),
            *(f"mem={MEMORY}", f"umid={self.name}", f"uml_dir={folder}/tmp/", "noreboot", "panic=1", "quiet"),
            *(f"hostfs={share}", f"ubd0={folder}/root.cow,{base()}", f"ubd1={disk}", "root=/dev/ubda", "rw"),
            *("init=/vm/init", "con=null", "con0=null,fd:1", f"ssl0=fd:{line},fd:{line}", "ssl=null"),
            f"vec0:transport=tap,ifname=tap{self.number},depth=64,mac=52:54:00:79:00:0{self.number}",
            *(f"vm.number={self.number}", "vm.modules=/modules", f"vm.shares={','.join(map(str, shares))}"),
        ]
        with theirs, (folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                [*BOX, "sh", "-c", START, "sh", str(share), str(modules()), " ".join(map(str, shares)), *kernel],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(line,),
                env={**os.environ, "HOME": f"{folder}/tmp", "TMPDIR": f"{folder}/tmp"},
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self._line, self._answers), daemon=True).start()

    def ready(self) -> "Machine":
        """Wait until it runs commands."""
        try:
            self._answers[0].get(timeout=BOOT_S)
        except queue.Empty:
            raise Failed(f"{self.name} did not start:\n{self.console()[-2000:]}") from None
        return self

    def power_off(self) -> None:
        """Cut its power: it is dead when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._line is not None
            self._line.close()

    def wait_down(self, timeout_s: float) -> float:
        """Wait until it goes down by itself; how long that took, in seconds."""
        assert self._process is not None
        began = time.monotonic()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} is still up after {timeout_s} s:\n{self.console()[-2000:]}") from None
        return time.monotonic() - began

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It stands still, all of it, as a virtual machine does while its host does something else."""
        pids = self._untraced()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _untraced(self) -> list[int]:
        """Processes of its kernel: the traced ones stand for the guest's, and signals to them confuse it."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        space = Path(f"/proc/{children[0]}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                alike = (entry / "ns" / "pid").readlink() == space
                if alike and "\nTracerPid:\t0\n" in (entry / "status").read_text():
                    found.append(int(entry.name))
        return found

    # ------------------------------------------------------------ commands

    def call(self, *argv: str, timeout_s: float = COMMAND_S, **env: str) -> Done:
        """Run a program there, whatever its exit code."""
        return self._ask(" ".join(argv), timeout_s, argv=argv, env=env)

    def converse(self, path: str, *lines: str, timeout_s: float = COMMAND_S) -> Done:
        """Say these lines, one after the other, to a socket there; its answers, a line each."""
        return self._ask(path, timeout_s, socket=path, lines=lines)

    def _ask(self, what: str, timeout_s: float, **asked: object) -> Done:
        with self._lock:
            self._count += 1
            number, answers = self._count, queue.Queue[dict[str, Any]]()
            self._answers[number] = answers
            asked |= {"id": number, "timeout_s": timeout_s}
            assert self._line is not None
            raw = json.dumps(asked).encode() + b"\n"
            assert len(raw) <= LINE_BYTES, "too long for the serial line: use put"
            self._line.sendall(raw)
        try:
            answer = answers.get(timeout=timeout_s + ANSWER_MARGIN_S)
        except queue.Empty:
            raise Failed(f"{self.name} does not answer: {what}\n{self.console()[-2000:]}") from None
        if "code" not in answer:
            raise Failed(f"{self.name} went down during: {what}")
        return Done(answer["code"], answer["out"], answer["err"])

    def sh(self, script: str, timeout_s: float = COMMAND_S, **env: str) -> str:
        """Run a shell script there; its output. Raises Failed unless it ends with 0."""
        done = self.call("sh", "-ec", script, timeout_s=timeout_s, **env)
        if done.code != 0:
            raise Failed(f"on {self.name}, exit code {done.code}:\n{script}\n{done.out}{done.err}")
        return done.out

    def python(self, program: str, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """Run a Python program there, with this checkout and its packages; its output."""
        done = self.call("python3", "-c", program, *arguments, timeout_s=timeout_s, PYTHONPATH=PYTHONPATH)
        if done.code != 0:
            raise Failed(f"on {self.name}, exit code {done.code}:\n{done.out}{done.err}")
        return done.out

    def shell(self, script: str, *arguments: str, timeout_s: float = COMMAND_S) -> Done:
        """Run a shell script there with `standfast` at hand, whatever its exit code; `$0` is the first argument."""
        standfast = 'standfast() { python3 -m standfast "$@"; }\n'
        return self.call("sh", "-c", standfast + script, *arguments, timeout_s=timeout_s, PYTHONPATH=PYTHONPATH)

    def until(self, condition: str, timeout_s: float) -> None:
        """Wait until a shell condition holds there."""
        end = time.monotonic() + timeout_s
        while self.call("sh", "-c", condition).code != 0:
            if time.monotonic() > end:
                raise Failed(f"on {self.name} it never came to this in {timeout_s} s: {condition}")
            time.sleep(POLL_S)

    def standfast(self, *arguments: str, timeout_s: float = COMMAND_S) -> Done:
        """Run `standfast` there."""
        return self.call("python3", "-m", "standfast", *arguments, timeout_s=timeout_s, PYTHONPATH=PYTHONPATH)

    def disturb(self, how: str, *, but: str = "", only: str = "") -> None:
        """What it sends is treated as tc-netem(8) says; but not what goes to one address, or `only` that."""
        bands = DISTURBED if not only else PLAIN
        script = DISTURB.format(how=how, bands=" ".join([str(bands)] * 16))
        if other := but or only:
            flow = (PLAIN if but else DISTURBED) + 1
            script += f"tc filter add dev lan0 parent 1: protocol ip u32 match ip dst {other}/32 flowid 1:{flow}\n"
        self.calm()
        self.sh(script)

    def calm(self) -> None:
        """Nothing that it sends is disturbed any more."""
        self.sh("tc qdisc del dev lan0 root 2>/dev/null || true")

    def put(self, path: str, text: str) -> None:
        """Write a file there."""
        self._count += 1
        handed = self._folder / "share" / HANDED / str(self._count)
        handed.write_text(text)
        self.sh(f"mkdir -p {Path(path).parent}; cp /{HANDED}/{handed.name} {path}")

    def console(self) -> str:
        """What its kernel has said, over all its lives."""
        return (self._folder / "console.log").read_text(errors="replace")

    def _listen(self, line: socket.socket, answers: dict[int, "queue.Queue[dict[str, Any]]"]) -> None:
        with contextlib.suppress(OSError), line.makefile("rb") as lines:
            for raw in lines:
                with contextlib.suppress(ValueError, KeyError):  # the line's first bytes come before it is raw
                    answer = json.loads(raw)
                    answers[answer["id"]].put(answer)
        for waiting in list(answers.values()):
            waiting.put({})


PYTHONPATH = f"{CHECKOUT}:{site_packages()}"


class Lab:
    """The machines and the network between them.

    Attributes:
        machines: three, of a cluster.
        server: a fourth one, which is switched on by who needs it.
    """

    def __init__(self) -> None:
        self.folder = VM_DIR / "run"
        shutil.rmtree(self.folder, ignore_errors=True)
        compileall.compile_dir(CHECKOUT / "standfast", quiet=1)  # machines can not keep what they compile there
        *self.machines, self.server = (Machine(number, self.folder) for number in range(1, 5))
        _ip("netns", "add", NETNS)
        _ip("-n", NETNS, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
        _ip("-n", NETNS, "link", "set", BRIDGE, "up")
        for machine in (*self.machines, self.server):
            tap = f"tap{machine.number}"
            _ip("-n", NETNS, "tuntap", "add", tap, "mode", "tap")
            _ip("-n", NETNS, "link", "set", tap, "master", BRIDGE)
            _ip("-n", NETNS, "link", "set", tap, "up")

    def power_on(self) -> None:
        """Those of the cluster, at once."""
        dark = [machine for machine in self.machines if not machine.up]
        for machine in dark:
            machine.power_on()
        for machine in dark:
            machine.ready()

    def unplug(self, machine: Machine) -> None:
        """Pull its cable. Its device is not taken down: User Mode Linux would stay deaf after that."""
        _ip("-n", NETNS, "link", "set", f"tap{machine.number}", "nomaster")

    def plug(self, machine: Machine) -> None:
        """Put its cable back."""
        _ip("-n", NETNS, "link", "set", f"tap{machine.number}", "master", BRIDGE)

    def close(self) -> None:
        """Cut all power and take the network down."""
        for machine in (*self.machines, self.server):
            machine.power_off()
        _ip("netns", "del", NETNS)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
