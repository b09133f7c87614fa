"""The broker of a lab by itself, beside Standfast: the same program, configuration and user, started by hand.

With the priority that the warden gives: a broker that is as nice as a nice benchmark has larger batches to answer.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from standfast.managers.registry import driver
from standfast.ports import NotReady, Place, boottime_ns

NS_PER_MS = 1e6
ASK_S = 5.0
AGAIN_S = 0.001


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


async def bare_start_ms(kind: str, place: Place) -> float:
    """From spawn to readiness, in milliseconds."""
    async with bare_broker(kind, place) as began_ns:
        while True:
            try:
                await driver(kind).ready(place, ASK_S)
            except NotReady:
                await asyncio.sleep(AGAIN_S)
            else:
                return (boottime_ns() - began_ns) / NS_PER_MS
