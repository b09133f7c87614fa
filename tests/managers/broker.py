"""A queue manager run straight from a driver's Launch: what the warden does, without its safety.

Those that are tended have a minder here too, in a process of its own.
"""

import asyncio
import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import standfast
from standfast.lab.processes import await_end, signal_all, tree
from standfast.managers.nats import Nats
from standfast.managers.registry import DRIVERS
from standfast.member.processes import Cgroup, cgroup_at
from standfast.member.warden_reports import TendedOrder
from standfast.ports import STATUS_FILE, Launch, NotReady, Place, QueueManager
from tests.standins import ibmmq
from tests.standins.running import stand_in

ADDRESS = "127.0.42.1"
ASK_NATS = (sys.executable, "-I", "-S", str(Path(__file__).with_name("ask_nats.py")), "{address}", "{port}")
_MINDER = """
import json, os, sys
sys.path.append(sys.argv[1])
from standfast.member.minder import Minder
from standfast.member.minder_plan import Plan
argv, env, plan = json.loads(sys.argv[2])
sys.exit(Minder(Plan.parse(plan), argv, env).run())
"""


def nats_server() -> str:
    return Nats().launch(Place(name="", data_dir=Path(), run_dir=Path(), address="", port=0)).argv[0]


def nats_in(pids: list[int]) -> int:
    """The nats-server among these processes."""
    (found,) = [pid for pid in pids if _name(pid) == "nats-server"]
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def command_options(_: Place | None = None) -> dict[str, object]:
    """A real nats-server that goes into the background, as most queue managers do."""
    script = f'{nats_server()} --name "$0" -a "$1" -p "$2" -js -sd "$3" &'
    return {
        "start": ["/bin/sh", "-c", script, "{name}", "{address}", "{port}", "{data_dir}"],
        "status": list(ASK_NATS),
        "status_every_s": 0.1,
        "status_deadline_s": 0.5,
        "version": [nats_server(), "--version"],
    }


def ocf_options(_: Place) -> dict[str, object]:
    """The same server under the agent `anything`."""
    return {
        "agent": "ocf:heartbeat:anything",
        "parameters": {
            "binfile": nats_server(),
            "cmdline_options": "--name {name} -a {address} -p {port} -js -sd {data_dir}",
            "logfile": "{run_dir}/output",
            "monitor_hook": shlex.join((*ASK_NATS, "2")),
        },
        "monitor_every_s": 0.1,
    }


def systemd_options(place: Place) -> dict[str, object]:
    """The same server as a unit of a stand-in for systemd."""
    pid1 = stand_in()
    unit = f"nats-{place.port}.service"
    pid1.write(
        unit,
        f"{nats_server()} --name {place.name} -a {place.address} -p {place.port} -js -sd {place.data_dir} "
        f">>{place.run_dir}/output 2>&1",
    )
    return {
        "unit": unit,
        "status": list(ASK_NATS),
        "status_every_s": 0.1,
        "systemctl": str(pid1.systemctl),
        "runtime_units": str(pid1.runtime),
    }


def rabbitmq_options(_: Place) -> dict[str, object]:
    """The port for rabbitmqctl: client ports of tests are too large for the usual one."""
    return {"dist_port": free_port("127.0.0.1")}


def ibmmq_options(place: Place) -> dict[str, object]:
    """Stand-ins for IBM MQ's programs, as one machine has them."""
    base = place.run_dir / "mqm"
    if not base.exists():
        ibmmq.install(base)
    return {
        "queue_manager": f"QM{place.port}",
        "installation": str(base),
        "run_as": "",
        "create": True,
        "status_every_s": 0.1,
    }


OPTIONS: dict[str, Callable[[Place], dict[str, object]]] = {
    "command": command_options,
    "ibmmq": ibmmq_options,
    "ocf": ocf_options,
    "rabbitmq": rabbitmq_options,
    "systemd": systemd_options,
}
"""What a kind can not do without."""
NEEDS_ROOT = {"ocf", "systemd"}
"""`anything` becomes the queue manager's user by `su`; units have cgroups."""
KINDS = sorted(kind for kind in DRIVERS if os.geteuid() == 0 or kind not in NEEDS_ROOT)
SLOW = {"activemq", "rabbitmq"}
"""They start for seconds: `make test` has the strongest tests of them, `make test-brokers` all."""
TRIED = [kind for kind in KINDS if kind not in SLOW or os.environ.get("STANDFAST_BROKERS") == "all"]


def within_s(driver: QueueManager, usual_s: float) -> float:
    """Longest time for something on a very busy machine."""
    return (12 if driver.kind in SLOW else 4) * usual_s


def free_port(address: str = ADDRESS) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def place_for(driver: QueueManager, root: Path, name: str = "qm1", **options: object) -> Place:
    """A place with all the options that the kind needs."""
    return fitted(driver, place_in(root, name), **options)


def fitted(driver: QueueManager, place: Place, **options: object) -> Place:
    """That place with all the options that the kind needs there."""
    needed = OPTIONS[driver.kind](place) if driver.kind in OPTIONS else {}
    return msgspec.structs.replace(place, options={**needed, **options})


def place_in(root: Path, name: str = "qm1", **options: object) -> Place:
    data_dir, run_dir = root / "data", root / "run"
    data_dir.mkdir(exist_ok=True)
    run_dir.mkdir(exist_ok=True)
    return Place(
        name=name, data_dir=data_dir, run_dir=run_dir, address=ADDRESS, port=free_port(), options=dict(options)
    )


class Broker:
    """One started queue manager; `process` is its main process, or its minder."""

    def __init__(self, driver: QueueManager, place: Place, process: asyncio.subprocess.Process, launch: Launch) -> None:
        self.driver, self.place, self.process = driver, place, process
        self._tended = launch.tended is not None
        outside = launch.tended.outside if launch.tended else None
        self._outside = Cgroup(path) if outside and (path := cgroup_at(outside.cgroup)) else None
        self._stop = signal.SIGTERM if self._tended else launch.stop_signal

    def living(self) -> list[int]:
        """Its processes, without the minder."""
        return tree([self.process.pid])[1 if self._tended else 0 :] + (self._outside.pids() if self._outside else [])

    async def ready(self, patience_s: float = 10.0) -> float:
        """Poll as the member does; the seconds it took. AssertionError when it ends first, NotReady at the timeout."""
        began, timeout_s = time.monotonic(), within_s(self.driver, patience_s)
        while True:
            try:
                await self.driver.ready(self.place, 1.0)
            except NotReady:
                if time.monotonic() - began > timeout_s:
                    raise
                assert self.process.returncode is None, await self.output()
                await asyncio.sleep(0.005)
            else:
                return time.monotonic() - began

    async def until_not_ready(self, timeout_s: float = 5.0) -> None:
        """The next question or, where a status command asks, one of the next, is not answered as before."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s:
            try:
                await self.driver.ready(self.place, 0.2)
            except NotReady:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it is ready still")

    async def kill(self) -> None:
        """SIGKILL to all of it, as the warden does; and its minder, if it has one, goes by itself."""
        signal_all(self.living(), signal.SIGKILL)
        await asyncio.wait_for(self.process.wait(), 5)

    async def stop(self) -> float:
        """Graceful; the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(self._stop)
        await asyncio.wait_for(self.process.wait(), within_s(self.driver, 5.0))
        return time.monotonic() - began

    def freeze(self) -> None:
        """Return when it is really stopped: until then a busy machine lets its threads go on for a while."""
        for pid in self.living():
            os.kill(pid, signal.SIGSTOP)
            while _state(pid) not in "TZX":
                time.sleep(0.001)

    def thaw(self) -> None:
        signal_all(self.living(), signal.SIGCONT)

    async def output(self) -> str:
        return (self.place.run_dir / "output").read_text()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _argv(launch: Launch, place: Place, environment: dict[str, str], stop_s: float) -> tuple[str, ...]:
    if launch.tended is None:
        return launch.argv
    order = TendedOrder(how=launch.tended, stop_s=stop_s, hurry_s=1.0, status_file=str(place.run_dir / STATUS_FILE))
    told = json.dumps([launch.argv, environment, msgspec.to_builtins(order)])
    return (sys.executable, "-I", "-S", "-c", _MINDER, str(Path(standfast.__file__).parents[1]), told)


@asynccontextmanager
async def started(driver: QueueManager, place: Place, stop_s: float = 10.0) -> AsyncIterator[Broker]:
    launch = driver.launch(place)
    for name, text in {**launch.files, STATUS_FILE: "{}"}.items():
        (place.run_dir / name).write_text(text)
    if place.data_dir.is_dir():
        for below in launch.also_writes:
            (place.data_dir / below).mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/"} | launch.env
    with (place.run_dir / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *_argv(launch, place, environment, stop_s), env=environment, cwd=place.run_dir, stdout=output, stderr=output
        )
    broker = Broker(driver, place, process, launch)
    try:
        yield broker
    finally:
        left = [*tree([process.pid]), *broker.living()]
        signal_all(left, signal.SIGKILL)
        await process.wait()
        assert await_end(left, 5)
