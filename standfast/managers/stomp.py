"""STOMP 1.2 on the wire: frames as values in and out. No input or output happens here.

Format: stomp.github.io/stomp-specification-1.2.html.
"""

from collections.abc import Mapping

from msgspec import Struct

from standfast.managers.credentials import Credentials

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_PLAIN = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\c": ":"}
_LONGEST_HEAD = 65_536
_COMMANDS = ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR")


class ProtocolError(Exception):
    """What came is no STOMP."""


class Frame(Struct, frozen=True):
    """One frame from a broker."""

    command: str
    headers: dict[str, str]
    body: bytes


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove one whole frame, and the empty lines before it, from the buffer; None while there is none.

    Raises ProtocolError when that can become no frame any more.
    """
    while buffer.startswith((b"\n", b"\r")):
        del buffer[:1]
    if buffer and not any(name.startswith(_first_word(buffer)) for name in _COMMANDS):
        raise ProtocolError(f"what listens there does not speak STOMP: it said {bytes(buffer[:40])!r}")
    end = buffer.find(b"\n\n")
    if end < 0:
        if len(buffer) > _LONGEST_HEAD:
            raise ProtocolError("a frame's headers have no end")
        return None
    command, *lines = buffer[:end].decode(errors="replace").splitlines()
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(_unescaped(name), _unescaped(value))  # the first of two counts
    start = end + 2
    if "content-length" in headers:
        stop = start + int(headers["content-length"])
        if len(buffer) <= stop:
            return None
    elif (stop := buffer.find(0, start)) < 0:
        return None
    frame = Frame(command, headers, bytes(buffer[start:stop]))
    del buffer[: stop + 1]
    return frame


def frame(command: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """A frame as bytes; with `body` its length is told, so that it may hold anything."""
    told = {**headers, "content-length": str(len(body))} if body is not None else headers
    # The headers of CONNECT are not escaped: servers of version 1.0 did not know how.
    lines = [f"{k}:{v}" if command == "CONNECT" else f"{_escaped(k)}:{_escaped(v)}" for k, v in told.items()]
    return "\n".join([command, *lines, "", ""]).encode() + (body or b"") + b"\0"


def connect_frame(host: str, credentials: Credentials | None) -> bytes:
    """Log in; no heartbeats."""
    headers = {"accept-version": "1.2", "host": host, "heart-beat": "0,0"}
    if credentials is not None:
        headers |= {"login": credentials.user, "passcode": credentials.password}
    return frame("CONNECT", headers)


def _first_word(buffer: bytearray) -> str:
    return buffer[:_LONGEST_HEAD].partition(b"\n")[0].decode(errors="replace").rstrip("\r")


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    found, position = [], 0
    while position < len(text):
        pair = text[position : position + 2]
        found.append(_PLAIN.get(pair, pair[0]))
        position += 2 if pair in _PLAIN else 1
    return "".join(found)
