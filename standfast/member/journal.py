"""What this member tells: events of its own on their way to log and followers, and those that it stored."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from standfast.member.control_protocol import EventLine
from standfast.model.events import CATALOGUE, Event, Severity
from standfast.model.told import StoredEvent

KEEP = 1000
"""Local events kept in memory for `events` and `history`."""

_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.ERROR}
_log = logging.getLogger("standfast.events")


class Journal:
    """Of one member. Local events have revision 0: only this member could see them."""

    def __init__(self, member: str) -> None:
        self._member = member
        self._process = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"
        self.on_told: Callable[[StoredEvent, bool], None] = lambda _event, _stored: None
        """Hears of every event that this member tells, and whether the store has it; must not wait."""
        self._local: deque[EventLine] = deque(maxlen=KEEP)
        self._told_total = 0
        self._named = 0
        self._stirred = 0
        self._news = asyncio.Event()

    def told(self, event: Event) -> None:
        """An event that this member alone can tell."""
        line = EventLine(
            revision=0,
            at_unix_ms=time.time_ns() // 1_000_000,
            teller=self._member,
            kind=event.kind,
            subject=event.subject,
            fields=event.fields,
        )
        self._local.append(line)
        self._told_total += 1
        self._note(CATALOGUE[event.kind].severity, line)
        self.stir()
        self.on_told(self.named(event, line.at_unix_ms), False)

    def named(self, event: Event, at_unix_ms: int) -> StoredEvent:
        """A local event with what those in the store have: an id of its own, a teller, a time."""
        moment = datetime.fromtimestamp(at_unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
        self._named += 1
        return StoredEvent(
            id=f"{self._member}.{self._process}.l{self._named:09d}",
            time=moment.replace("+00:00", "Z"),
            member=self._member,
            severity=CATALOGUE[event.kind].severity,
            kind=event.kind,
            subject=event.subject,
            fields=event.fields,
        )

    def stored(self, events: Iterable[StoredEvent]) -> None:
        """Events that this member has just written to the store."""
        for event in events:
            self._note(event.severity, line_of(event))
            self.stir()
            self.on_told(event, True)

    def local_since(self, position: int) -> tuple[list[EventLine], int]:
        """Local events after the first `position` ever told, and the position after them."""
        total = self._told_total
        missing = min(len(self._local), total - position)
        return list(self._local)[len(self._local) - missing :] if missing > 0 else [], total

    def stir(self) -> None:
        """Wake everybody who waits for news."""
        self._stirred += 1
        self._news.set()
        self._news = asyncio.Event()

    @property
    def stirred(self) -> int:
        """How often there was news; what `news` is asked with, taken before the last look."""
        return self._stirred

    async def news(self, known: int, within_s: float) -> None:
        """Return when there was news since `stirred` was `known`, or after `within_s` seconds."""
        if self._stirred != known:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()

    def _note(self, severity: Severity, line: EventLine) -> None:
        details = " ".join(f"{name}={value}" for name, value in line.fields.items())
        _log.log(
            _LEVELS[severity],
            "%s %s %s",
            line.kind,
            line.subject,
            details,
            extra={"event": line.kind, "subject": line.subject, "fields": line.fields, "revision": line.revision},
        )


def line_of(event: StoredEvent) -> EventLine:
    """A stored event as the control protocol shows it."""
    return EventLine(
        revision=event.revision,
        at_unix_ms=int(datetime.fromisoformat(event.time).timestamp() * 1000),
        teller=event.member,
        kind=event.kind,
        subject=event.subject,
        fields=event.fields,
    )
