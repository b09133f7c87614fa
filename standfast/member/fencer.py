"""Has a member switched off by the command of [fencing]: a fence agent, or anything that takes its options alike.

The command reads its options from standard input, a line `name=value` each, as fence agents do (FenceAgentAPI.md of
ClusterLabs): `action=off`, then those of [fencing.options], then those of [fencing.members.NAME]. Exit code 0 means
that the member is off; an agent makes sure of that by itself.

Guarantees: an answer for every request, at the latest a moment after `timeout_s`; nothing of the command lives longer.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from standfast.model.cluster import FencingSpec
from standfast.quorum.signals import Fenced

DETAIL = 300
"""Characters of what it printed that are told."""
OFF, STATUS = "off", "status"


def options_for(spec: FencingSpec, member: str, action: str) -> bytes:
    """What the command reads; a member's options override those of all. Both may name another action than `off`."""
    given = {"action": action, **spec.options, **spec.members[member]}
    if action != OFF:
        given["action"] = action
    return "".join(f"{name}={value}\n" for name, value in given.items()).encode()


async def ask_agent(spec: FencingSpec, member: str, action: str) -> tuple[int | None, str]:
    """Run the command once: its exit code and the end of what it printed.

    The code is None when it could not be started, or was killed at the deadline; the text says which.
    """
    try:
        agent = await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
    except OSError as error:
        return None, f"{spec.command[0]} can not be run: {error.strerror}"
    code: int | None = None
    said = b""
    try:
        said, _ = await asyncio.wait_for(agent.communicate(options_for(spec, member, action)), spec.timeout_s)
        code = agent.returncode
    except TimeoutError:
        said = f"no answer within {spec.timeout_s:g} s".encode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(agent.pid, signal.SIGKILL)
        await agent.wait()
    return code, " ".join(said.decode(errors="replace").split())[-DETAIL:]


class Fencer:
    """Of one member; `give` takes what comes of each request."""

    def __init__(self, spec: FencingSpec, give: Callable[[Fenced], None]) -> None:
        self._spec = spec
        self._give = give
        self._tasks: set[asyncio.Task[None]] = set()

    def fence(self, member: str) -> None:
        """Begin; returns at once."""
        task = asyncio.get_running_loop().create_task(self._fence(member))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fence(self, member: str) -> None:
        code, said = await ask_agent(self._spec, member, OFF)
        detail = said if code is None else f"exit code {code}: {said}" if code else said
        self._give(Fenced(member, done=code == 0, detail=detail))

    def close(self) -> None:
        """Give up what is under way; the commands end with it."""
        for task in self._tasks:
            task.cancel()
