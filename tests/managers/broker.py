"""A queue manager run straight from a driver's Launch: what the warden does, without its safety."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from standfast.ports import NotReady, Place, QueueManager

ADDRESS = "127.0.50.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def place_in(root: Path, name: str = "qm1", **options: object) -> Place:
    data_dir, run_dir = root / "data", root / "run"
    data_dir.mkdir(exist_ok=True)
    run_dir.mkdir(exist_ok=True)
    return Place(
        name=name, data_dir=data_dir, run_dir=run_dir, address=ADDRESS, port=free_port(), options=dict(options)
    )


class Broker:
    """One started process."""

    def __init__(self, driver: QueueManager, place: Place, process: asyncio.subprocess.Process, stop: int) -> None:
        self.driver, self.place, self.process, self._stop = driver, place, process, stop

    async def ready(self, timeout_s: float = 10.0) -> float:
        """Poll as the member does; the seconds it took. AssertionError when it ends first, NotReady at the timeout."""
        began = time.monotonic()
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

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self, timeout_s: float = 5.0) -> float:
        """Graceful; the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(self._stop)
        await asyncio.wait_for(self.process.wait(), timeout_s)
        return time.monotonic() - began

    def freeze(self) -> None:
        """Return when it is really stopped: until then a busy machine lets its threads go on for a while."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def output(self) -> str:
        return (self.place.run_dir / "output").read_text()


@asynccontextmanager
async def started(driver: QueueManager, place: Place) -> AsyncIterator[Broker]:
    launch = driver.launch(place)
    for name, text in launch.files.items():
        (place.run_dir / name).write_text(text)
    if place.data_dir.is_dir():
        for below in launch.also_writes:
            (place.data_dir / below).mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/"} | launch.env
    with (place.run_dir / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(*launch.argv, env=environment, stdout=output, stderr=output)
    try:
        yield Broker(driver, place, process, launch.stop_signal)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
