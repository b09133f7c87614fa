"""The address that a drill's clients use: one that is given, or a `standfast proxy` of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from standfast.drill.record import ATTEMPTS
from standfast.errors import MachineError

PROXY_START_S = 10.0


class Endpoint(NamedTuple):
    """Where clients go; `holds`: who comes while nobody serves is kept waiting, and led to the next owner."""

    address: str
    port: int
    holds: bool = False

    @property
    def attempts(self) -> int:
        """How many attempts of one client make sense at once."""
        return 1 if self.holds else ATTEMPTS


@asynccontextmanager
async def own_proxy(cluster_file: Path, qm: str, inside: Sequence[str] = ()) -> AsyncIterator[Endpoint]:
    """A proxy process, as any client machine would run it; raises MachineError when it does not start.

    `inside`: what to put before a command to run it where clients are.
    """
    process = await asyncio.create_subprocess_exec(
        *inside,
        *(sys.executable, "-m", "standfast", "proxy", "--listen", "127.0.0.1:0"),
        *("--queue-manager", qm, "--file", str(cluster_file)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    draining: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(PROXY_START_S):
            line = (await process.stderr.readline()).decode()
        port = line.strip().rpartition(":")[2]
        if not port.isdecimal():
            raise MachineError(f"The drill's proxy did not start: {line.strip()}")
        draining = asyncio.create_task(process.stderr.read())
        yield Endpoint("127.0.0.1", int(port), holds=True)
    finally:
        process.kill()
        await process.wait()
        if draining:
            await draining


@asynccontextmanager
async def given(address: str, port: int) -> AsyncIterator[Endpoint]:
    """An endpoint that is there already, such as a virtual IP or a load balancer."""
    yield Endpoint(address, port)
