"""What listens for TCP in this network namespace, as the kernel tells it.

Asked over netlink for listening sockets alone. /proc/net/tcp tells the same, but walks through all sockets there could
be: 12 ms and more on a machine of 24 GB, in which the caller waits; it is read only where the kernel has no such
netlink. Sources: sock_diag(7), netlink(7), linux/inet_diag.h; proc(5).
"""

import itertools
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")
ANY = frozenset({bytes(4), bytes(16)})
"""Packed addresses that stand for every address."""

Listeners = Mapping[int, frozenset[bytes]]
"""By port: the packed addresses, IPv4 ones in IPv6 as what they are."""

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY, _ERROR, _DONE = 20, 2, 3
_REQUEST_DUMP = 0x301
_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
_ASK = struct.Struct("=BBBxI48x")
_PORT = struct.Struct("!H")
_PORT_AT, _SOURCE_AT = 4, 8
_MAPPED = bytes(10) + b"\xff\xff"
_ANSWER_BYTES = 262_144
_PROC_LISTEN = "0A"
_SIZES = {socket.AF_INET: 4, socket.AF_INET6: 16}


def listeners(proc: Path = PROC) -> Listeners:
    """Everything that listens; nothing where the kernel does not tell."""
    try:
        found = list(itertools.chain.from_iterable(map(_asked, _SIZES)))
    except OSError:
        found = list(_read(proc))
    by_port: dict[int, set[bytes]] = {}
    for address, port in found:
        by_port.setdefault(port, set()).add(address.removeprefix(_MAPPED))
    return {port: frozenset(addresses) for port, addresses in by_port.items()}


def _asked(family: socket.AddressFamily) -> Iterator[tuple[bytes, int]]:
    """Raises OSError where the kernel has no sock_diag."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        body = _ASK.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN)
        netlink.send(_HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + body)
        while True:
            answer, at = memoryview(netlink.recv(_ANSWER_BYTES)), 0
            while at < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", answer, at + _HEADER.size)[0], "sock_diag")
                told = answer[at + _HEADER.size : at + length]
                address = bytes(told[_SOURCE_AT : _SOURCE_AT + _SIZES[family]])
                yield address, _PORT.unpack_from(told, _PORT_AT)[0]
                at += (length + 3) & ~3


def _read(proc: Path) -> Iterator[tuple[bytes, int]]:
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _PROC_LISTEN:
                address, _, port = fields[1].partition(":")
                yield _packed(address), int(port, 16)


def _packed(written: str) -> bytes:
    """An address that the kernel wrote: words of four bytes, each in the order of x86 and ARM."""
    told = bytes.fromhex(written)
    return b"".join(told[at : at + 4][::-1] for at in range(0, len(told), 4))


__all__ = ["ANY", "Listeners", "listeners"]
