"""A load on one queue manager: producers and consumers through one endpoint, and a record of every message.

It ends in four steps: no new messages; every message acknowledged; every acknowledged message consumed; everything
stored read back. Each has `drain_s`, and what did not come in that time is missing in the record, which says so.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from standfast.drill.clients.base import Client, NotConnected
from standfast.drill.clients.registry import client as client_for
from standfast.drill.dial import dial
from standfast.drill.identity import decode
from standfast.drill.producer import MS_PER_S, Line, Producer, pace
from standfast.drill.record import LoadRecord, LoadSettings, Tally, Tick
from standfast.ports import boottime_ns

T = TypeVar("T")


class Load:
    """One run of a load. `run` once."""

    def __init__(self, settings: LoadSettings, report: Callable[[Tick], None]) -> None:
        """Nothing is sent before `run`; `report` hears a Tick every `tick_ms`.

        Raises UsageError for a kind of queue manager without a client, KeyFileError for a bad password file.
        """
        self._settings, self._report = settings, report
        self._client: Client = client_for(settings)
        self._problem = ""
        self._producers = [Producer(index, settings, self._client, self._tell) for index in range(settings.producers)]
        self._consumed = Tally()
        self._consumptions = 0
        self._news = asyncio.Event()
        self._attempt_s = settings.attempt_ms / MS_PER_S

    async def run(self, stop: asyncio.Event) -> LoadRecord:
        """Load the queue manager until `stop`, then drain and read back; the record of all.

        Raises UsageError when the queue manager refuses the login; nothing else, however long it is away.
        """
        await self._until_done(self._client.prepare, self._attempt_s)
        began_ns = boottime_ns()
        tasks = [asyncio.create_task(work) for work in self._background()]
        try:
            await self._rhythm(stop, tasks)
            ended_ns = boottime_ns()
            await self._within_drain(self._all_consumed())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        stored, unreadable = await self._read_back()
        return LoadRecord(
            settings=self._settings,
            began_ns=began_ns,
            ended_ns=ended_ns,
            sent=[one.outbox.messages for one in self._producers],
            consumed=self._consumed.counts,
            stored=stored,
            unreadable=unreadable,
            connections=sum(one.connections for one in self._producers),
        )

    async def discard(self) -> bool:
        """Remove the run's messages from the queue manager; whether that could be done within `drain_s`."""
        return await self._within_drain(self._until_done(self._client.discard, self._attempt_s))

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        consumers = [self._consume(index) for index in range(self._settings.consumers)]
        return [self._tick(), *(one.stay_connected() for one in self._producers), *consumers]

    async def _rhythm(self, stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        """Produce until `stop`, then wait for the last acknowledgements; raises what a background task raised."""
        rhythm = asyncio.gather(*(one.keep_rhythm(stop) for one in self._producers))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            await self._within_drain(_awaited(rhythm))
        finally:
            stopped.cancel()
            rhythm.cancel()
            await asyncio.gather(stopped, rhythm, return_exceptions=True)

    async def _consume(self, index: int) -> None:
        async def attempt() -> Line:
            line = Line()
            line.connection = await self._client.consumer(index, self._received, line.gone.set)
            return line

        attempts = min(self._client.consumer_attempts, self._settings.attempts)
        while True:
            line = await dial(attempt, pace(self._settings, attempts), self._tell)
            try:
                await line.gone.wait()
            finally:
                line.close()

    def _received(self, payload: bytes) -> None:
        identity = decode(self._settings.run, payload)
        if identity is not None:
            self._consumed.add(*identity)
            self._consumptions += 1
            self._news.set()

    async def _all_consumed(self) -> None:
        """Return when a consumer has had every acknowledged message."""
        if not self._settings.consumers:
            return
        missing = [
            (producer, sequence)
            for producer, one in enumerate(self._producers)
            for sequence, message in enumerate(one.outbox.messages)
            if message.acked_ns
        ]
        while missing:
            if self._consumed.of(*missing[-1]):
                missing.pop()
            else:
                self._news.clear()
                await self._news.wait()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        every_s = self._settings.tick_ms / MS_PER_S
        due_s, acked, consumed = loop.time(), 0, 0
        while True:
            due_s = max(due_s + every_s, loop.time())
            await asyncio.sleep(due_s - loop.time())
            acked_before, consumed_before = acked, consumed
            acked, consumed = sum(one.acked for one in self._producers), self._consumptions
            self._report(
                Tick(
                    at_ns=boottime_ns(),
                    acked=acked - acked_before,
                    consumed=consumed - consumed_before,
                    waiting=sum(one.outbox.waiting for one in self._producers),
                    connected=sum(one.connected for one in self._producers),
                    problem=self._problem,
                )
            )

    async def _read_back(self) -> tuple[list[list[int]] | None, str]:
        tally = Tally()

        async def read() -> None:
            for payload in await self._until_done(self._client.read_back, self._settings.drain_s):
                identity = decode(self._settings.run, payload)
                if identity is not None:
                    tally.add(*identity)

        if await self._within_drain(read()):
            return tally.counts, ""
        return None, self._problem or f"it was not finished within {self._settings.drain_s:g} s"

    async def _until_done(self, attempt: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        """Repeat an attempt, at the pace of retries, until the broker lets it succeed within its timeout."""
        while True:
            try:
                async with asyncio.timeout(timeout_s):
                    return await attempt()
            except (NotConnected, OSError) as error:  # TimeoutError is an OSError
                self._tell(str(error) or f"no answer within {timeout_s:g} s")
                await asyncio.sleep(self._settings.retry_ms / MS_PER_S)

    async def _within_drain(self, work: Coroutine[Any, Any, object]) -> bool:
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await work
        except TimeoutError:
            return False
        return True

    def _tell(self, problem: str) -> None:
        self._problem = problem


async def _awaited(future: "asyncio.Future[Any]") -> None:
    await future
