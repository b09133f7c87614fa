"""Events that wait for one sink, on disk as far as the disk goes along.

Guarantees
  * What was added is pending until it is done, in the order in which it was added, over restarts of this process and,
    once written, of the machine.
  * A file that was cut short or damaged costs the damaged lines alone: each has a checksum of its own.
  * It never grows beyond MAX_PENDING events; the oldest go first, and are counted.
  * A disk that hangs or is full delays nothing: events are pending in memory at once, a thread writes them.
Does not guarantee that an event is on disk when `add` returns; that one is not delivered twice, for what was done just
before a crash may not be on disk as done.

The file has a line for each event, ``CRC JSON``, and for each that is done, ``CRC - ID``.
"""

import asyncio
import os
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from standfast.model.told import StoredEvent

MAX_PENDING = 10_000
REWRITE_BYTES = 1_048_576
"""A file longer than this is written anew, with what is pending alone, when half of it is done."""

_decode = msgspec.json.Decoder(StoredEvent).decode
_encode = msgspec.json.Encoder().encode


class Outbox:
    """In one file; `limit`: how many may be pending."""

    def __init__(self, file: Path, limit: int = MAX_PENDING) -> None:
        self._file = file
        self._limit = limit
        self._pending: dict[str, StoredEvent] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._size = 0
        self._dead = 0
        self.dropped = 0
        """Events that went because there were too many."""
        self.trouble = ""
        """Why the file can not be written; empty when it can."""
        self.damaged = 0
        """Lines of the file that could not be read."""

    def load(self) -> None:
        """Take up what is pending in the file; a missing file is an empty one."""
        try:
            lines = self._file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            self.trouble = f"{self._file} can not be read: {error.strerror}"
            return
        for line in lines:
            self._take_up(line)
        self._size = sum(len(line) + 1 for line in lines)
        if lines and lines[-1]:
            self._write(b"\n")  # a line that was cut short must not spoil the next one

    def _take_up(self, line: bytes) -> None:
        if not line:
            return
        crc, _, body = line.partition(b" ")
        if crc != b"%08x" % zlib.crc32(body):
            self.damaged += 1
        elif body.startswith(b"- "):
            self._pending.pop(body[2:].decode(), None)
            self._dead += 1
        else:
            try:
                event = _decode(body)
            except msgspec.MsgspecError:
                self.damaged += 1
            else:
                self._pending[event.id] = event

    @property
    def pending(self) -> int:
        """How many wait."""
        return len(self._pending)

    def first(self, count: int) -> list[StoredEvent]:
        """The oldest that wait, at most `count`."""
        return [event for event, _ in zip(self._pending.values(), range(count), strict=False)]

    def add(self, event: StoredEvent) -> None:
        """Let it wait; one that waits already is not added again."""
        if event.id in self._pending:
            return
        self._pending[event.id] = event
        self._append([_encode(event)])
        while len(self._pending) > self._limit:
            oldest = next(iter(self._pending))
            self.dropped += 1
            self.done([oldest])

    def done(self, ids: Iterable[str]) -> None:
        """They were delivered."""
        gone = [event_id for event_id in ids if self._pending.pop(event_id, None) is not None]
        self._dead += len(gone)
        self._append([b"- " + event_id.encode() for event_id in gone])
        if self._size > REWRITE_BYTES and self._dead >= len(self._pending):
            self._dead = 0
            self._writer.submit(self._rewrite, [_line(_encode(event)) for event in self._pending.values()])
            self._size = 0

    def _append(self, bodies: list[bytes]) -> None:
        if bodies:
            data = b"".join(map(_line, bodies))
            self._size += len(data)
            self._writer.submit(self._write, data)

    # ------------------------------------------------------------ in the thread

    def _write(self, data: bytes) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.write(data)
                file.flush()
                os.fdatasync(file.fileno())
        except OSError as error:
            self.trouble = f"{self._file} can not be written: {error.strerror}"
        else:
            self.trouble = ""

    def _rewrite(self, lines: list[bytes]) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fdatasync(file.fileno())
            fresh.replace(self._file)
        except OSError as error:
            self.trouble = f"{self._file} can not be written: {error.strerror}"

    async def flush(self) -> None:
        """Wait until all that was added or done so far is written, as far as it can be."""
        await asyncio.wrap_future(self._writer.submit(lambda: None))

    def close(self) -> None:
        """End the thread; what is not written yet may be lost if the disk hangs."""
        self._writer.shutdown(wait=False, cancel_futures=False)


def _line(body: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(body), body)
