"""The daemon's side of its courier: starts it where there are sinks, tells it what happens, and replaces it.

Guarantees: nothing here waits for the courier. An event that it has not acknowledged is kept, up to KEPT of them, and
told to the next one; who gets it twice drops it by its id. A courier that is silent for SILENT_S, or does not read, is
killed and replaced.
Does not guarantee: that an event outlives a death of daemon and courier before it is in the outbox.
"""

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections import deque
from pathlib import Path

import msgspec

from standfast.alerts.pump import SinkReport, SinkState
from standfast.errors import UsageError
from standfast.member.alert_protocol import AlertReport, AlertTried
from standfast.member.courier_protocol import (
    MAX_LINE,
    Begin,
    Course,
    Follow,
    Got,
    Sinks,
    Stirred,
    ToCourier,
    ToDaemon,
    Told,
    Tried,
    Try,
)
from standfast.member.journal import Journal
from standfast.model.events import Event, EventKind
from standfast.model.records import Phase
from standfast.model.told import StoredEvent
from standfast.ports import boottime_ns
from standfast.quorum.core import Core

KEPT = 1000
LOOK_EVERY_S = 1.0
SILENT_S = 20.0
START_AGAIN_S, START_AGAIN_MAX_S = 0.5, 30.0
MAX_UNREAD = 4 * 1024 * 1024
"""Bytes that the courier may leave unread before it counts as hung."""
END_S = 3.5
"""How long the courier may take to deliver what waits when the member ends."""
FAILING_AFTER_MS = 30_000
"""How long a sink must have failed before that is an event: a takeover of what it is on is none."""
TRY_MARGIN_S = 2.0
NS_PER_S = 1_000_000_000

_decode = msgspec.json.Decoder(ToDaemon).decode
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class Alerting:
    """Of one member; arguments but `core` and `journal` are for the courier."""

    def __init__(self, core: Core, journal: Journal, *, state_dir: Path, trust_dir: Path, log_format: str) -> None:
        self._core = core
        self._journal = journal
        self._begin = Begin(member=core.me, state_dir=str(state_dir), trust_dir=str(trust_dir), log_format=log_format)
        self._kept: deque[Told] = deque(maxlen=KEPT)
        self._number = 0
        self._old = 0
        self._writer: asyncio.StreamWriter | None = None
        self._heard_ns = 0
        self._said: dict[type, ToCourier] = {}
        self._reports: tuple[SinkReport, ...] = ()
        self._failing: set[str] = set()
        self._tickets = 0
        self._tries: dict[int, asyncio.Future[Tried]] = {}
        self.pid: int | None = None
        """Of the courier; None while there is none."""

    def told(self, event: StoredEvent, stored: bool) -> None:
        """An event of this member: to the courier, now or when there is one."""
        self._number += 1
        told = Told(self._number, event, stored)
        self._kept.append(told)
        self._write(told)

    def reports(self) -> tuple[SinkReport, ...]:
        """How it stands with each sink in force."""
        known = {report.name: report for report in self._reports}
        return tuple(
            known.get(sink.name, SinkReport(name=sink.name, kind=sink.kind)) for sink in self._core.rules.cluster.sinks
        )

    async def test(self, sink: str, by: str) -> AlertReport:
        """Deliver a test event to that sink, or to all; raises UsageError for an unknown one."""
        sinks = self._core.rules.cluster.sinks
        chosen = [one for one in sinks if sink in {"", one.name}]
        if not chosen:
            listed = ", ".join(one.name for one in sinks) or "none; add one with `standfast config edit`"
            raise UsageError(f"There is no sink {sink!r}: this cluster has {listed}.")
        event = Event(kind=EventKind.ALERT_TEST, subject=sink or "all", fields={"by": by})
        test = self._journal.named(event, time.time_ns() // 1_000_000)
        tried = await asyncio.gather(*(self._tried(one.name, one.deadline_s, test) for one in chosen))
        return AlertReport(test.id, tuple(tried))

    async def _tried(self, sink: str, deadline_s: float, test: StoredEvent) -> AlertTried:
        self._tickets += 1
        ticket = self._tickets
        answer: asyncio.Future[Tried] = asyncio.get_running_loop().create_future()
        self._tries[ticket] = answer
        self._write(Try(ticket, sink, test))
        try:
            async with asyncio.timeout(deadline_s + TRY_MARGIN_S):
                found = await answer
        except TimeoutError:
            return AlertTried(sink=sink, detail="the courier does not answer; see the member's log", took_ms=0.0)
        finally:
            self._tries.pop(ticket, None)
        return AlertTried(sink=sink, detail=found.detail, took_ms=found.took_ms)

    # ------------------------------------------------------------ its task

    async def run(self) -> None:
        """Have a courier while there are sinks, until cancelled; it then gets END_S to deliver what waits."""
        pause_s = START_AGAIN_S
        while True:
            if not self._core.rules.cluster.sinks:
                self._forget()
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            began_ns = boottime_ns()
            try:
                await self._one()
            except OSError as error:
                _log.error("the courier of events can not be started: %s", error)
            if not self._core.rules.cluster.sinks:
                continue
            lived_s = (boottime_ns() - began_ns) / NS_PER_S
            pause_s = START_AGAIN_S if lived_s > START_AGAIN_MAX_S else min(START_AGAIN_MAX_S, pause_s * 2)
            _log.warning("the courier of events ended; another one is started in %.1f s", pause_s)
            await asyncio.sleep(pause_s)

    def _forget(self) -> None:
        """A sink that comes later has no use for what happened before; that it was added is news, and is kept."""
        while self._kept and self._kept[0].number <= self._old:
            self._kept.popleft()
        self._old = self._number

    async def _one(self) -> None:
        """One courier, from its start to its end."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = (sys.executable, "-m", "standfast.member.courier", str(theirs.fileno()))
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL, cwd="/"
            )
        self.pid = process.pid
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
        self._writer, self._said, self._heard_ns = writer, {}, boottime_ns()
        self._write(self._begin)
        self._look()
        for told in tuple(self._kept):
            self._write(told)
        tasks = [asyncio.create_task(self._hear(reader)), asyncio.create_task(self._keep_up())]
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({*tasks, ended}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._finish(process, writer)
            raise
        finally:
            self._writer, self.pid = None, None
            for task in tasks:
                task.cancel()
            writer.transport.abort()
            with contextlib.suppress(ProcessLookupError):
                process.kill() if process.returncode is None else None
            await asyncio.gather(*tasks, ended, return_exceptions=True)

    async def _finish(self, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> None:
        """The member ends: let the courier hear that, and deliver."""
        self._writer = None
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(END_S):
                await writer.drain()
                writer.write_eof()
                await process.wait()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self._heard_ns = boottime_ns()
            match _decode(line):
                case Got(number):
                    while self._kept and self._kept[0].number <= number:
                        self._kept.popleft()
                case Sinks(reports):
                    self._reports = reports
                    self._tell_failing()
                case Tried(ticket=ticket) as tried:
                    if (answer := self._tries.get(ticket)) is not None and not answer.done():
                        answer.set_result(tried)

    async def _keep_up(self) -> None:
        """Tell what has changed, at once after news of the store; returns when the courier hangs or has no sinks."""
        known = self._journal.stirred
        while True:
            await self._journal.news(known, LOOK_EVERY_S)
            if known != self._journal.stirred:
                known = self._journal.stirred
                self._write(Stirred())
            self._look()
            unread = self._writer.transport.get_write_buffer_size() if self._writer else 0
            if unread > MAX_UNREAD or boottime_ns() - self._heard_ns > SILENT_S * NS_PER_S:
                _log.error("the courier of events hangs and is killed")
                return
            if not self._core.rules.cluster.sinks:
                return

    # ------------------------------------------------------------ what it is told

    def _look(self) -> None:
        core, view = self._core, self._core.view
        since = max(0, view.settings.revision - 1) if view.settings is not None else 0
        self._say(Follow(cluster=core.rules.cluster, since=since))
        leading = core.coordinator.leading(boottime_ns(), able=core.able) == core.me
        self._say(Course(leading=leading, places=self._places()))

    def _places(self) -> dict[str, tuple[str, int]]:
        view = self._core.view
        clients = {member.name: member.clients for member in self._core.rules.cluster.members}
        return {
            name: (clients[kept.record.owner], view.specs[name].record.port)
            for name, kept in view.assignments.items()
            if kept.record.phase is Phase.RUNNING and kept.record.owner in clients and name in view.specs
        }

    def _say(self, message: ToCourier) -> None:
        """Unless it was the last thing of its kind that was said."""
        if self._said.get(type(message)) != message:
            self._said[type(message)] = message
            self._write(message)

    def _write(self, message: ToCourier) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(_encode(message) + b"\n")

    def _tell_failing(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for report in self._reports:
            if report.state is SinkState.WORKING and report.name in self._failing:
                self._failing.discard(report.name)
                self._journal.told(Event(kind=EventKind.SINK_WORKING, subject=report.name))
            lasting = report.state is SinkState.FAILING and now_ms - report.since_unix_ms >= FAILING_AFTER_MS
            if lasting and report.name not in self._failing:
                self._failing.add(report.name)
                told = Event(kind=EventKind.SINK_FAILING, subject=report.name, fields={"detail": report.detail})
                self._journal.told(told)
