"""The kernel's table of addresses, and the connections that use one: read and changed over netlink.

Guaranteed: every address added here ends by itself (`valid_lft`), is no source for this machine's own connections
(`preferred_lft` 0), makes no route of its own (/32, /128), and is usable at once (IFA_F_NODAD). Only addresses that end
by themselves are removed here: one that an operator set up for good is never touched.

Formats: rtnetlink(7), sock_diag(7), and the kernel's uapi headers linux/if_addr.h and linux/inet_diag.h. Standard
library only. Calls wait for the kernel's lock on its network configuration, milliseconds as a rule.
"""

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_ROUTE, _DIAG = 0, 4  # NETLINK_ROUTE, NETLINK_SOCK_DIAG
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_BY_FAMILY, _DESTROY = 20, 21  # SOCK_DIAG_BY_FAMILY, SOCK_DESTROY
_REQUEST, _ACK, _DUMP, _REPLACE, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x400
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO, _IFA_FLAGS = 1, 2, 6, 8
_PERMANENT, _NODAD, _NOPREFIXROUTE = 0x80, 0x02, 0x200
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_CACHE = struct.Struct("=IIII")  # preferred, valid (seconds), created, changed
_ATTRIBUTE = struct.Struct("=HH")
_SOCKET_BYTES = 48  # inet_diag_sockid: ports, addresses, interface, cookie
_SOURCE = slice(8, 24)  # the local address within inet_diag_msg
_SOCKID = slice(4, 4 + _SOCKET_BYTES)
_TALKING = 0xFFF & ~(1 << 10 | 1 << 7 | 1 << 6)  # every TCP state but LISTEN, CLOSE and TIME_WAIT
_LONGEST = 1 << 17
_SIOCGIFHWADDR = 0x8927


class Present(NamedTuple):
    """An address on an interface, the number of which it names; `lasting`: it does not end by itself."""

    address: IPAddress
    prefix: int
    interface: int
    lasting: bool

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """What is on the same wire."""
        return ipaddress.ip_network((self.address, self.prefix), strict=False)


def present() -> list[Present]:
    """Every address of this machine; raises OSError."""
    body = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    return [_parsed(raw) for kind, raw in _talk(_ROUTE, _GETADDR, _DUMP, body) if kind == _NEWADDR]


def add(address: IPAddress, index: int, valid_s: int) -> None:
    """Have it on that interface for so many seconds, counted anew if it is there; raises OSError."""
    body = _body(address, index) + _attribute(_IFA_CACHEINFO, _CACHE.pack(0, valid_s, 0, 0))
    _talk(_ROUTE, _NEWADDR, _ACK | _CREATE | _REPLACE, body)


def remove(address: IPAddress, index: int) -> None:
    """Have it no more on that interface; nothing when it is not there; raises OSError."""
    try:
        _talk(_ROUTE, _DELADDR, _ACK, _body(address, index))
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise


def reset_connections(address: IPAddress, until: "Deadline") -> int:
    """Break the TCP connections of this address, visibly for their peers; how many. Stops at the deadline.

    Nothing is broken on a kernel without CONFIG_INET_DIAG_DESTROY.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004
    families = (family,) if family == socket.AF_INET6 else (socket.AF_INET, socket.AF_INET6)
    broken = 0
    for one in families:  # a socket of IPv6 takes clients of IPv4, too
        request = struct.pack("=BBBxI", one, socket.IPPROTO_TCP, 0, _TALKING)
        for kind, raw in _talk(_DIAG, _BY_FAMILY, _DUMP, request + bytes(_SOCKET_BYTES)):
            if kind != _BY_FAMILY or not _is_of(raw[_SOURCE], address, one) or until.over():
                continue
            with contextlib.suppress(OSError):
                _talk(_DIAG, _DESTROY, _ACK, request + raw[_SOCKID])
                broken += 1
    return broken


class Deadline:
    """A moment on CLOCK_BOOTTIME, in nanoseconds."""

    def __init__(self, at_ns: int) -> None:
        self._at_ns = at_ns

    def over(self) -> bool:
        """Whether it has passed."""
        import time  # noqa: PLC0415 - the one use

        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= self._at_ns


def hardware_address(interface: str) -> bytes:
    """Six bytes; raises OSError for an interface that does not exist."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("256s", interface.encode()[:15]))
    return answer[18:24]


def interface_for(address: IPAddress, wanted: str) -> str:
    """The interface that shall bear the address: the one wanted, else that in whose net it lies; LookupError."""
    mine = present()
    names = dict(socket.if_nameindex())
    if wanted and wanted not in names.values():
        raise LookupError(f"this machine has no interface {wanted}: it has {', '.join(names.values())}")
    for one in mine:
        if address in one.network and one.prefix < address.max_prefixlen and wanted in {"", names.get(one.interface)}:
            return names[one.interface]
    where = f"interface {wanted} has" if wanted else "this machine's interfaces have"
    nets = sorted({str(one.network) for one in mine if one.network.version == address.version})
    raise LookupError(f"{where} no address in the net of {address}: nets here are {', '.join(nets) or 'none'}")


def refuse_lasting(address: IPAddress) -> None:
    """Raise LookupError when an operator has set it up on this machine."""
    if any(one.address == address and one.lasting for one in present()):
        raise LookupError(f"{address} is set up for good on this machine: remove it there, Standfast adds it")


def _is_of(raw: bytes, address: IPAddress, family: int) -> bool:
    if address.version == 4 and family == socket.AF_INET6:  # noqa: PLR2004
        return raw == b"\0" * 10 + b"\xff\xff" + address.packed
    return raw[: len(address.packed)] == address.packed


def _parsed(raw: bytes) -> Present:
    family, prefix, flags, _, index = _ADDRESS.unpack_from(raw)
    attributes = dict(_attributes(raw[_ADDRESS.size :]))
    packed = attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]
    if _IFA_FLAGS in attributes:
        (flags,) = struct.unpack("=I", attributes[_IFA_FLAGS])
    address = ipaddress.IPv4Address(packed) if family == socket.AF_INET else ipaddress.IPv6Address(packed)
    return Present(address, prefix, index, bool(flags & _PERMANENT))


def _body(address: IPAddress, index: int) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004
    flags = struct.pack("=I", _NOPREFIXROUTE | (_NODAD if family == socket.AF_INET6 else 0))
    return (
        _ADDRESS.pack(family, address.max_prefixlen, 0, 0, index)
        + _attribute(_IFA_LOCAL, address.packed)
        + _attribute(_IFA_ADDRESS, address.packed)
        + _attribute(_IFA_FLAGS, flags)
    )


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    while len(raw) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(raw)
        yield kind, raw[_ATTRIBUTE.size : length]
        raw = raw[(length + 3) & ~3 :]


def _talk(protocol: int, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
    """A request and all messages of its answer, by type; raises OSError with what the kernel says."""
    told: list[tuple[int, bytes]] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as talk:
        talk.sendto(_HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 1, 0) + body, (0, 0))
        while True:
            packet = talk.recv(_LONGEST)
            while packet:
                length, what, _, _, _ = _HEADER.unpack_from(packet)
                content, packet = packet[_HEADER.size : length], packet[(length + 3) & ~3 :]
                if what == _DONE:
                    return told
                if what == _ERROR:
                    (code,) = struct.unpack_from("=i", content)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return told
                told.append((what, content))
