"""SNMP traps and informs, versions 2c and 3, as the MIB says (deploy/snmp/STANDFAST-MIB.txt).

A trap is taken when it was sent; an inform when the receiver acknowledged it. For version 3 the engine id of traps is
made from the names of cluster and member, so that a receiver can be told of it beforehand: RFC 3411, format 4 (text).
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto.rfc1902 import Integer32, OctetString

from standfast.alerts.mib import MAX_TEXT, NOTIFICATIONS, ROOT, TELLING, TOLD
from standfast.alerts.sink import Door, Outgoing, Sink, secret
from standfast.errors import SinkError
from standfast.model.event_fields import CARRIED
from standfast.model.events import CATALOGUE, EventKind, Severity
from standfast.model.sinks import SinkSpec

UNKNOWN_KIND: Final = 10_000
"""Number of the notification of an event that this version does not know."""
ENGINE_PREFIX: Final = b"\x80\x00\x1f\x88\x04"
"""Net-SNMP's enterprise number with the first bit set, then 4: text follows (RFC 3411, SnmpEngineID)."""
MAX_ENGINE_TEXT: Final = 27

_AUTHS = {
    "md5": hlapi.usmHMACMD5AuthProtocol,
    "sha": hlapi.usmHMACSHAAuthProtocol,
    "sha224": hlapi.usmHMAC128SHA224AuthProtocol,
    "sha256": hlapi.usmHMAC192SHA256AuthProtocol,
    "sha384": hlapi.usmHMAC256SHA384AuthProtocol,
    "sha512": hlapi.usmHMAC384SHA512AuthProtocol,
}
_PRIVACIES = {
    "des": hlapi.usmDESPrivProtocol,
    "aes": hlapi.usmAesCfb128Protocol,
    "aes192": hlapi.usmAesCfb192Protocol,
    "aes256": hlapi.usmAesCfb256Protocol,
}


class Snmp(Sink):
    """One engine."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._spec = spec
        self._where = where
        self._engine: Any = None
        self._user: Any = None
        self._target: Any = None

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        if self._engine is None:
            await self._open(events[0].cluster)
        notify = self._spec.options.get("notify", "trap")
        root = self._spec.options.get("root", ROOT)
        for outgoing in events:
            failure, _, _, _ = await hlapi.send_notification(
                self._engine, self._user, self._target, hlapi.ContextData(), notify, notification(outgoing, root)
            )
            if failure:
                raise SinkError(f"{notify} to {self._where.host}:{self._where.port}: {failure}")

    async def close(self) -> None:
        """See Sink."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close_dispatcher()

    async def _open(self, cluster: str) -> None:
        self._user = await asyncio.to_thread(_credentials, self._spec)
        engine = hlapi.SnmpEngine(OctetString(engine_id(cluster, self._where.member)))
        try:
            kind = hlapi.Udp6TransportTarget if ":" in self._where.host else hlapi.UdpTransportTarget
            # The pump's deadline is the one that counts; an inform is sent again each second until then.
            self._target = await kind.create(
                (self._where.host, self._where.port), timeout=1, retries=max(0, int(self._spec.deadline_s) - 1)
            )
        except BaseException:
            engine.close_dispatcher()
            raise
        self._engine = engine


def engine_id(cluster: str, member: str) -> bytes:
    """Of the member that sends traps of version 3."""
    return ENGINE_PREFIX + f"{member}.{cluster}".encode()[:MAX_ENGINE_TEXT]


def notification(outgoing: Outgoing, root: str) -> Any:
    """The notification with all its objects, in the order of the MIB."""
    event = outgoing.event
    kind = EventKind(event.kind) if event.kind in {*EventKind} else None
    number = CARRIED[kind].number if kind else UNKNOWN_KIND
    said = " ".join(f"{name}={value}" for name, value in event.fields.items() if value is not None)
    details = " ".join(said.split())
    values: tuple[str | int, ...] = (
        event.id,
        event.kind,
        [*Severity].index(event.severity) + 1,
        event.time,
        outgoing.cluster,
        event.member,
        event.subject,
        details,
        CATALOGUE[kind].action if kind else "",
    )
    told = hlapi.NotificationType(hlapi.ObjectIdentity(f"{root}.{NOTIFICATIONS}.{number}"))
    for one, value in zip(TOLD, values, strict=True):
        name = hlapi.ObjectIdentity(f"{root}.{TELLING}.{one.number}.0")
        held = Integer32(value) if isinstance(value, int) else OctetString(value.encode()[:MAX_TEXT])
        told.add_varbinds(hlapi.ObjectType(name, held))
    return told


def _credentials(spec: SinkSpec) -> Any:
    options = spec.options
    held = secret(spec.password_file, "the password or community")
    if options.get("version", "2c") != "3":
        return hlapi.CommunityData(held, mpModel=1)  # noqa: S508 - the operator chose version 2c
    hidden = options.get("privacy_password_file")
    return hlapi.UsmUserData(
        spec.username,
        held,
        secret(hidden, "the password for privacy") if hidden else None,
        authProtocol=_AUTHS[options.get("auth", "sha256")],
        privProtocol=_PRIVACIES[options.get("privacy", "aes")] if hidden else hlapi.usmNoPrivProtocol,
    )
