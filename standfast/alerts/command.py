"""A command: run once for each event, with the CloudEvent on its standard input and the chief words in its environment.

Exit code 0 is the acknowledgement. It runs in a session of its own; all of that is killed when it is cancelled.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from standfast.alerts.sink import Door, Outgoing, Sink
from standfast.errors import SinkError
from standfast.model.sinks import SinkSpec

MAX_SHOWN = 300
"""Characters of what it printed that are shown when it fails."""


class Command(Sink):
    """Of one sink."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        del where
        self._argv = [str(word) for word in spec.options["command"]]

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        for outgoing in events:
            await self._run(outgoing)

    async def _run(self, outgoing: Outgoing) -> None:
        event = outgoing.event
        env = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ},
            "STANDFAST_CLUSTER": outgoing.cluster,
            "STANDFAST_EVENT": event.kind,
            "STANDFAST_EVENT_ID": event.id,
            "STANDFAST_MEMBER": event.member,
            "STANDFAST_SEVERITY": event.severity,
            "STANDFAST_SUBJECT": event.subject,
        }
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=env, start_new_session=True
            )
        except OSError as error:
            raise SinkError(f"{self._argv[0]} can not be run: {error.strerror}") from error
        try:
            printed, _ = await process.communicate(outgoing.body + b"\n")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            told = printed.decode(errors="replace").strip()[-MAX_SHOWN:]
            raise SinkError(f"it ended with exit code {process.returncode}: {told or 'it printed nothing'}")

    async def close(self) -> None:
        """See Sink."""
