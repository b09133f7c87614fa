"""The API of this member: a process of its own, which the daemon starts, watches, and ends.

Guarantees: what strangers send to the API never reaches this process; the child speaks to it through the control
socket as any operator does, and makes itself less urgent than the daemon before anybody can reach it. A child that ends
is started again, ever more slowly, and its end costs the member nothing. It ends when this process does, however that
ends: it reads the end of a pipe that only this process holds.

Does not guarantee that the API answers.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from standfast.member.logs import log_style
from standfast.model.cluster import Cluster

_log = logging.getLogger(__name__)

MODULE = "standfast.api"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between its end and its next start; doubled each time that it did not live for STEADY_S."""
STEADY_S = 60.0
END_S = 2.0
"""How long it may take to end before it is killed."""


async def run_api(cluster: Cluster, me: str, socket: Path, trust: Path, state_dir: Path) -> None:
    """Keep one running until this is cancelled; returns at once when this member's file wants none.

    Args:
        cluster: the cluster file.
        me: which member this is.
        socket: the control socket.
        trust: directory with this member's certificates.
        state_dir: of this member; the tokens are kept there.
    """
    spec = cluster.member(me)
    if not spec.api_port:
        return
    named = {"cluster": cluster.name, "member": me, "address": spec.addresses[0], "port": spec.api_port}
    named |= {"socket": socket, "trust": trust, "state-dir": state_dir}
    named |= {"log-format": log_style()}
    arguments = tuple(f"--{key}={value}" for key, value in named.items())
    loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
    while True:
        began_s = loop.time()
        try:
            await _once(arguments)
        except OSError as error:
            _log.error("the API can not be started (%s); see that this machine has memory and processes left", error)
        if loop.time() - began_s >= STEADY_S:
            pause_s = FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _once(arguments: Sequence[str]) -> None:
    """One life of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, *arguments), stdin=asyncio.subprocess.PIPE
    )
    try:
        code = await process.wait()
        _log.warning("the API ended by itself with code %d and is started again", code)
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """It reads the end of its input and ends; if not, it is killed."""
    if process.returncode is not None:
        return
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
