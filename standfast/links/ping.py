"""Pings: ICMP echo requests to a few addresses, answered by any of them or not; IPv4 and IPv6.

Unprivileged where the kernel allows it (a datagram socket of ICMP, `net.ipv4.ping_group_range`, which rules both
versions), else with a raw socket, which needs root or CAP_NET_RAW. Never blocks: a request that can not be sent is one
that is not answered.

Format: RFC 792 and RFC 4443, echo request and reply: type, code, checksum, identifier, sequence number, data. The
kernel fills in identifier and checksum of a datagram socket, and delivers only its own answers; a raw socket sees all,
so that the data tell ours.
"""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import struct
from collections.abc import Sequence

from standfast.errors import MachineError

REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
HEADER = struct.Struct("!BBHHH")
TOKEN_BYTES = 16
MOST_BYTES = 2048
_ADVICE = (
    "Allow them for the group that runs Standfast: `sysctl -w net.ipv4.ping_group_range='0 2147483647'`, or give it "
    "CAP_NET_RAW, or leave `hops` out."
)


def checksum(packet: bytes) -> int:
    """The internet checksum of RFC 1071."""
    padded = packet + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def family_of(address: str) -> socket.AddressFamily:
    """Of an IP address in figures."""
    return socket.AF_INET6 if ipaddress.ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET  # noqa: PLR2004


def open_socket(family: socket.AddressFamily) -> tuple[socket.socket, bool]:
    """A socket for pings that does not block, and whether it is a raw one; raises MachineError when none is allowed."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            found = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, PROTOCOL[family])
        except PermissionError:
            continue
        except OSError as error:
            raise MachineError(f"No pings can be sent here: {error.strerror}. Is IP version 6 switched off?") from error
        return found, kind is socket.SOCK_RAW
    raise MachineError(f"The kernel allows this process no pings. {_ADVICE}")


class Pinger:
    """Asks rounds of addresses; open sockets are kept until `close`."""

    def __init__(self) -> None:
        self._sockets: dict[socket.AddressFamily, tuple[socket.socket, bool]] = {}
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self._round = 0

    async def round(self, addresses: Sequence[str], within_s: float) -> bool:
        """Whether any of them answers within that time; raises MachineError when no pings are allowed."""
        self._round = (self._round + 1) & 0xFFFF
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        families = {family_of(address) for address in addresses}
        loop = asyncio.get_running_loop()
        for family in families:
            if family not in self._sockets:
                self._sockets[family] = open_socket(family)
            loop.add_reader(self._sockets[family][0], self._receive, family, answer)
        try:
            for address in addresses:
                self._send(address)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await asyncio.shield(answer)
            return answer.done()
        finally:
            answer.cancel()
            for family in families:
                loop.remove_reader(self._sockets[family][0])

    def _send(self, address: str) -> None:
        family = family_of(address)
        found, raw = self._sockets[family]
        bare = HEADER.pack(REQUEST[family], 0, 0, 0, self._round) + self._token
        if raw and family is socket.AF_INET:
            bare = HEADER.pack(REQUEST[family], 0, checksum(bare), 0, self._round) + self._token
        with contextlib.suppress(OSError):
            found.sendto(bare, (address, 0))

    def _receive(self, family: socket.AddressFamily, answer: asyncio.Future[None]) -> None:
        found, raw = self._sockets[family]
        try:
            packet = found.recv(MOST_BYTES)
        except OSError:  # an ICMP error came back, or nothing is there after all
            return
        if raw and family is socket.AF_INET and packet:
            packet = packet[(packet[0] & 0x0F) * 4 :]
        if self._ours(family, packet) and not answer.done():
            answer.set_result(None)

    def _ours(self, family: socket.AddressFamily, packet: bytes) -> bool:
        if len(packet) < HEADER.size:
            return False
        kind, _, _, _, number = HEADER.unpack_from(packet)
        return kind == REPLY[family] and number == self._round and packet[HEADER.size :] == self._token

    def close(self) -> None:
        """Close the sockets."""
        for found, _ in self._sockets.values():
            found.close()
        self._sockets.clear()
