"""What every sink is to the pump, and what they share: where they are, their certificates and their secrets.

A sink is a connection that may be broken. Guarantees asked of each: `deliver` returns only when the other side has
taken every event, in order; else it raises. It keeps no event back, repeats nothing by itself and has no deadline of
its own: the pump cancels it. After anything that it raises it is closed and another one is made.
"""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from standfast.alerts.cloudevents import encoded
from standfast.errors import KeyFileError, SinkError
from standfast.model.sinks import KINDS, SinkSpec
from standfast.model.told import StoredEvent

_OTHERS = 0o077
_SECURE = frozenset({"amqps", "mqtts", "tls", "https"})


class Outgoing(Struct, frozen=True):
    """An event on its way out, and the cluster that it is of."""

    event: StoredEvent
    cluster: str

    @property
    def body(self) -> bytes:
        """As a CloudEvent in JSON."""
        return encoded(self.event, self.cluster)


class Door(NamedTuple):
    """Where a sink is now.

    Attributes:
        host: name or address; empty for a path.
        port: likewise; 0 for none.
        secure: whether TLS is spoken.
        url: the whole, as configured.
        member: that delivers; names the connection.
    """

    host: str
    port: int
    secure: bool
    url: str
    member: str


class Sink(Protocol):
    """A way out."""

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """Return when all of them are taken, in this order; raises SinkError or whatever its library raises."""
        ...

    async def close(self) -> None:
        """Let go of everything; never raises, never waits long."""
        ...


def door(spec: SinkSpec, places: Mapping[str, tuple[str, int]], member: str) -> Door:
    """Where the sink is; `places`: where clients reach the queue managers that run. Raises SinkError when nowhere."""
    parts = urlsplit(spec.url)
    host, port = parts.hostname or "", parts.port or KINDS[spec.kind].schemes.get(parts.scheme, 0)
    if spec.queue_manager:
        if spec.queue_manager not in places:
            raise SinkError(f"queue manager {spec.queue_manager}, which it is on, does not run at the moment")
        host, port = places[spec.queue_manager]
    return Door(host, port, parts.scheme in _SECURE, spec.url, member)


def tls(spec: SinkSpec, where: Door) -> ssl.SSLContext | None:
    """For a connection to it; None when it speaks no TLS. Raises KeyFileError. Reads files: call it in a thread."""
    if not where.secure:
        return None
    try:
        context = ssl.create_default_context(cafile=spec.ca_file or None)
        if spec.cert_file:
            _only_ours(Path(spec.key_file), "the key")
            context.load_cert_chain(spec.cert_file, spec.key_file, password=_no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise KeyFileError(
            f"a certificate of sink {spec.name} can not be used ({spec.ca_file}, {spec.cert_file}): {error}"
        ) from error
    return context


def secret(file: str, what: str) -> str:
    """The first line of a private file; raises KeyFileError. Reads a file: call it in a thread."""
    path = Path(file)
    try:
        _only_ours(path, what)
        text = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{what} can not be read from {path}: {error}; create the file with mode 0600") from error
    if not text:
        raise KeyFileError(f"{path} is empty: write {what} into its first line")
    return text


def _only_ours(path: Path, what: str) -> None:
    """Raises KeyFileError when others may read it, OSError when it is not there."""
    if path.stat().st_mode & _OTHERS:
        raise KeyFileError(f"{path} with {what} can be read by others: chmod 600 {path}")


def _no_passphrase() -> str:
    """Asked for by OpenSSL when a key has one; it would ask the terminal, where a daemon has nobody."""
    raise ssl.SSLError("the key has a passphrase, and nobody is there to type it: keep it without one, mode 0600")


def password(spec: SinkSpec) -> str:
    """Of its user; empty when there is none. Raises KeyFileError. Reads a file: call it in a thread."""
    return secret(spec.password_file, "the password") if spec.username else ""
