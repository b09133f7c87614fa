"""AMQP 0-9-1 on the wire: frames, methods, and a login as values in and out. No input or output happens here.

Only what a member asks and what a drill sends: one channel, PLAIN, no heartbeats, no transactions.
Format: AMQP 0-9-1, "General-Purpose Framing" (4.2) and the field types that RabbitMQ uses (its "errata" page).
"""

import struct
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from standfast.managers.credentials import Credentials

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
"""Types of frames."""
START, START_OK, TUNE, TUNE_OK = (10, 10), (10, 11), (10, 30), (10, 31)
OPEN, OPEN_OK, CLOSE, CLOSE_OK = (10, 40), (10, 41), (10, 50), (10, 51)
_ACCESS_REFUSED = 403
_END = 0xCE
_HEAD = struct.Struct(">BHI")
_FRAME_MAX = 131_072
"""What RabbitMQ offers; a peer that asks for more does not speak AMQP."""
_FIXED = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">Q", "f": ">f", "d": ">d"}
_FIXED |= {"T": ">Q", "t": ">?"}
_DECIMAL_BYTES = 5


class ProtocolError(Exception):
    """What came is no AMQP 0-9-1."""


class Refused(Exception):  # noqa: N818 - an answer, not a mistake
    """The broker closed the connection; `login` says whether it refused user and password."""

    def __init__(self, said: str, *, login: bool) -> None:
        super().__init__(said)
        self.login = login


class Frame(Struct, frozen=True):
    """One frame; of a method, `body` begins with its class and number."""

    kind: int
    channel: int
    body: bytes

    @property
    def method(self) -> tuple[int, int]:
        """Class and number of a method; (0, 0) for other frames."""
        if self.kind != METHOD:
            return (0, 0)
        class_id, method_id = struct.unpack_from(">HH", self.body)
        return class_id, method_id

    @property
    def arguments(self) -> "Reader":
        """A reader at the first argument of a method."""
        return Reader(self.body, 4)


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove one whole frame from the buffer; None while there is none. Raises ProtocolError."""
    if buffer[:4] == PROTOCOL_HEADER[:4]:
        raise ProtocolError("it speaks another version of AMQP")
    if len(buffer) < _HEAD.size:
        return None
    kind, channel, size = _HEAD.unpack_from(buffer)
    if kind not in (METHOD, HEADER, BODY, HEARTBEAT) or size > _FRAME_MAX:
        raise ProtocolError(f"what listens there does not speak AMQP 0-9-1: it said {bytes(buffer[:40])!r}")
    end = _HEAD.size + size
    if len(buffer) <= end:
        return None
    if buffer[end] != _END:
        raise ProtocolError("a frame has no end")
    frame = Frame(kind, channel, bytes(buffer[_HEAD.size : end]))
    del buffer[: end + 1]
    return frame


def frame(kind: int, channel: int, body: bytes) -> bytes:
    """A frame as bytes."""
    return _HEAD.pack(kind, channel, len(body)) + body + bytes((_END,))


def method(channel: int, which: tuple[int, int], *arguments: bytes) -> bytes:
    """A method's frame, with its arguments encoded."""
    return frame(METHOD, channel, struct.pack(">HH", *which) + b"".join(arguments))


def short(text: str) -> bytes:
    """A short string."""
    raw = text.encode()
    return struct.pack(">B", len(raw)) + raw


def long(raw: bytes) -> bytes:
    """A long string."""
    return struct.pack(">I", len(raw)) + raw


def table(fields: Mapping[str, Any]) -> bytes:
    """A field table of strings, truth values, integers and tables."""
    return long(b"".join(short(name) + _field(value) for name, value in fields.items()))


def _field(value: Any) -> bytes:
    match value:
        case bool():
            return b"t" + struct.pack(">?", value)
        case int():
            return b"l" + struct.pack(">q", value)
        case str():
            return b"S" + long(value.encode())
        case _:
            return b"F" + table(value)


class Reader:
    """Takes values one after the other from bytes; raises ProtocolError when they end too early."""

    def __init__(self, raw: bytes, position: int = 0) -> None:
        self._raw, self._at = raw, position

    def number(self, form: str) -> int:
        """One number in the given struct format, such as ">H"."""
        try:
            (found,) = struct.unpack_from(form, self._raw, self._at)
        except struct.error as error:
            raise ProtocolError("a frame is too short") from error
        self._at += struct.calcsize(form)
        return int(found)

    def raw(self, size: int) -> bytes:
        """So many bytes."""
        found = self._raw[self._at : self._at + size]
        if len(found) < size:
            raise ProtocolError("a frame is too short")
        self._at += size
        return found

    def short(self) -> str:
        """A short string."""
        return self.raw(self.number(">B")).decode(errors="replace")

    def long(self) -> bytes:
        """A long string."""
        return self.raw(self.number(">I"))

    def table(self) -> dict[str, Any]:
        """A field table."""
        inner = Reader(self.long())
        found: dict[str, Any] = {}
        while not inner.at_end():
            name = inner.short()
            found[name] = inner.field()
        return found

    def at_end(self) -> bool:
        """Whether everything was taken."""
        return self._at >= len(self._raw)

    def field(self) -> Any:
        """One value of a field table, by its type; arrays and decimals as they are."""
        kind = chr(self.number(">B"))
        if kind in _FIXED:
            found = self.number(_FIXED[kind])
            return bool(found) if kind == "t" else found
        if kind == "S":
            return self.long().decode(errors="replace")
        if kind == "F":
            return self.table()
        if kind in "Ax":
            return self.long()
        if kind == "D":
            return self.raw(_DECIMAL_BYTES)
        if kind == "V":
            return None
        raise ProtocolError(f"a field of unknown type {kind!r}")


class Login:
    """A login to a virtual host, frame by frame.

    Attributes:
        server: what the broker says of itself, after the first frame.
        done: whether the connection is open.
    """

    def __init__(self, credentials: Credentials, vhost: str = "/") -> None:
        self._credentials, self._vhost = credentials, vhost
        self.server: dict[str, Any] = {}
        self.done = False

    def answer(self, frame: Frame) -> bytes:
        """What to send next; raises Refused, ProtocolError."""
        arguments = frame.arguments
        match frame.method:
            case (10, 10):
                arguments.number(">H")  # its version: that of the frame it came in
                self.server = arguments.table()
                return self._start_ok()
            case (10, 30):
                channels, frame_max = arguments.number(">H"), arguments.number(">I")
                tune_ok = method(0, TUNE_OK, struct.pack(">HIH", channels, min(frame_max, _FRAME_MAX), 0))
                return tune_ok + method(0, OPEN, short(self._vhost), short(""), b"\x00")
            case (10, 41):
                self.done = True
                return b""
            case (10, 50):
                code, said = arguments.number(">H"), arguments.short()
                raise Refused(f"{code} {said}", login=code == _ACCESS_REFUSED)
            case _:
                raise ProtocolError(f"unexpected frame {frame.kind}, method {frame.method}")

    def _start_ok(self) -> bytes:
        capabilities = {"publisher_confirms": True, "authentication_failure_close": True, "basic.nack": True}
        about = {"product": "standfast", "capabilities": capabilities}
        plain = f"\x00{self._credentials.user}\x00{self._credentials.password}".encode()
        return method(0, START_OK, table(about), short("PLAIN"), long(plain), short("en_US"))


def goodbye() -> bytes:
    """Close the connection; the broker answers CLOSE_OK and ends it."""
    return method(0, CLOSE, struct.pack(">H", 200), short("bye"), struct.pack(">HH", 0, 0))
