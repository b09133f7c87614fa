"""Starting, watching and ending a load in its own process."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Self

import msgspec

from standfast.drill.record import LoadFailed, LoadRecord, LoadSettings, Report, Tick
from standfast.errors import MachineError

_LINE_BYTES = 1 << 30
"""A record is one line, some 60 bytes for each message of the run."""
_REPORTS: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class LoadProcess:
    """A load that runs beside the drill. As a context manager it leaves no process behind."""

    def __init__(self, settings: LoadSettings, heard: Callable[[Tick], None], inside: Sequence[str] = ()) -> None:
        """Nothing runs before the context is entered; `heard` is called with each Tick.

        `inside`: what to put before a command to run it where clients are.
        """
        self._settings, self._heard, self._inside = settings, heard, inside
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[LoadRecord | LoadFailed] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._inside,
            sys.executable,
            "-m",
            "standfast.drill.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
        self._reading = asyncio.create_task(self._read(self._process.stdout))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reading is not None
        self._reading.cancel()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def finish(self) -> LoadRecord:
        """End the load: it drains, reads back, removes its messages, and hands over its record.

        Raises MachineError when the load could not run; may take three times `drain_s` and more when the queue manager
        does not come back.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._reading is not None
        self._process.stdin.close()
        outcome = await self._reading
        if isinstance(outcome, LoadFailed):
            raise MachineError(f"The load of the drill failed. {outcome.message}")
        return outcome

    async def _read(self, output: asyncio.StreamReader) -> LoadRecord | LoadFailed:
        while line := await output.readline():
            report = _REPORTS.decode(line)
            if isinstance(report, Tick):
                self._heard(report)
            else:
                return report
        return LoadFailed("Its process ended without a record; its last words are above.")
