"""The broker of a lab by itself, beside Standfast: the same program, configuration and user, started by hand.

With the priority that the warden gives: a broker that is as nice as a nice benchmark has larger batches to answer.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from standfast.drill.director import Rhythm
from standfast.drill.process import LoadProcess
from standfast.drill.record import LoadSettings
from standfast.managers.registry import driver
from standfast.ports import NotReady, Place, boottime_ns

NS_PER_MS = 1e6
ASK_S = 5.0
AGAIN_S = 0.001


class Bare(NamedTuple):
    """One life of a bare broker: milliseconds from spawn to readiness, and from the signal that stops it to its end."""

    start: float
    stop: float


@asynccontextmanager
async def bare_broker(kind: str, place: Place, inside: Sequence[str] = ()) -> AsyncIterator[int]:
    """Start it: gives when that was, and it may not serve yet. It is stopped gracefully at the end.

    `inside`: what to put before a command to run it on another machine of the lab.
    """
    launch = driver(kind).launch(place)
    for directory in (place.run_dir, place.data_dir, *(place.data_dir / name for name in launch.also_writes)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in launch.files.items():
        (place.run_dir / name).write_text(text, encoding="utf-8")
    began_ns = boottime_ns()
    process = await asyncio.create_subprocess_exec(
        *inside,
        *("nice", "-n", str(-os.nice(0))),
        *launch.argv,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/"} | launch.env,
        cwd=place.run_dir,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield began_ns
    finally:
        process.send_signal(launch.stop_signal)
        await process.wait()


async def life_of(kind: str, place: Place, rhythm: Rhythm) -> Bare:
    """Start it, load it as a drill does, and stop it under this load."""
    flows = asyncio.Event()
    load = LoadSettings(
        kind=kind,
        address=place.address,
        port=place.port,
        run=f"bare{secrets.token_hex(4)}",
        every_ms=rhythm.every_ms,
        retry_ms=rhythm.retry_ms,
    )
    async with AsyncExitStack() as beside:
        async with bare_broker(kind, place) as began_ns:
            while True:
                try:
                    await driver(kind).ready(place, ASK_S)
                except NotReady:
                    await asyncio.sleep(AGAIN_S)
                else:
                    break
            ready_ns = boottime_ns()
            await beside.enter_async_context(LoadProcess(load, lambda tick: flows.set() if tick.consumed else None))
            await flows.wait()
            await asyncio.sleep(rhythm.steady_s)
            stopped_ns = boottime_ns()
        ended_ns = boottime_ns()
    return Bare((ready_ns - began_ns) / NS_PER_MS, (ended_ns - stopped_ns) / NS_PER_MS)
