"""Syslog (RFC 5424) over UDP, or to the local daemon, which is journald on most machines, over its socket.

The local daemons read the older format of RFC 3164 there (systemd does not know the newer one), remote ones the newer.
A datagram is not acknowledged: it is taken when the kernel took it.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from standfast.alerts.sink import Door, Outgoing, Sink
from standfast.errors import SinkError
from standfast.model.events import CATALOGUE, EventKind, Severity
from standfast.model.sinks import SinkSpec

SEVERITIES: Final = {Severity.INFO: 6, Severity.WARNING: 4, Severity.CRITICAL: 2}
FACILITIES: Final = {"kern": 0, "user": 1, "daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}
MAX_BYTES: Final = 2048
"""What every receiver should take (RFC 5424, section 6.1)."""


class Syslog(Sink):
    """One socket."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._facility = FACILITIES[spec.options.get("facility", "daemon")]
        self._where = where
        self._socket: socket.socket | None = None

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        remote = bool(self._where.host)
        try:
            out = self._socket = self._socket or await self._opened()
            for outgoing in events:
                await asyncio.get_running_loop().sock_sendall(out, line(outgoing, self._facility, remote=remote))
        except OSError as error:
            raise SinkError(f"{self._where.url} takes nothing: {error.strerror or error}") from error

    async def close(self) -> None:
        """See Sink."""
        if self._socket is not None:
            self._socket.close()

    async def _opened(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        if not self._where.host:
            family, address = socket.AF_UNIX, urlsplit(self._where.url).path
        else:
            found = await loop.getaddrinfo(self._where.host, self._where.port, type=socket.SOCK_DGRAM)
            family, address = found[0][0], found[0][4]  # type: ignore[assignment]
        out = socket.socket(family, socket.SOCK_DGRAM)
        out.setblocking(False)
        try:
            await loop.sock_connect(out, address)
        except BaseException:
            out.close()
            raise
        return out


def line(outgoing: Outgoing, facility: int, *, remote: bool) -> bytes:
    """One message: who, what, about whom, the fields, what to do."""
    event = outgoing.event
    entry = CATALOGUE.get(EventKind(event.kind)) if event.kind in {*EventKind} else None
    details = "".join(f" {name}={value}" for name, value in event.fields.items())
    said = f"{event.kind} {event.subject}{details} cluster={outgoing.cluster} teller={event.member} id={event.id}"
    if entry is not None:
        said += f" | {entry.meaning} {entry.action}"
    said = " ".join(said.split())
    head = f"<{facility * 8 + SEVERITIES[event.severity]}>"
    if remote:
        head += f"1 {event.time} {event.member} standfast - {event.kind[:32]} - "
    else:
        head += "standfast: "
    return (head + said).encode()[:MAX_BYTES]
