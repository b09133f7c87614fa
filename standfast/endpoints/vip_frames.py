"""What is said on the wire about an address: "it is here" and "does anybody have it?"; and what others say of it.

Formats: ARP as of RFC 826, announcements and probes as of RFC 5227; neighbour solicitation and advertisement as of
RFC 4861, sections 4.3 and 4.4. Sending needs CAP_NET_RAW. Nothing here blocks. Standard library only.
"""

import contextlib
import ipaddress
import socket
import struct

from standfast.endpoints.vip_netlink import IPAddress, hardware_address

_ETH_ARP = 0x0806
_REQUEST, _REPLY = 1, 2
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_HEAD = (1, 0x0800, 6, 4)  # Ethernet, IPv4, and the lengths of their addresses
_BROADCAST = b"\xff" * 6
_ETHERNET_HEAD = 14

_SOLICITATION, _ADVERTISEMENT = 135, 136
_ND = struct.Struct("!BBHI16s")
_OVERRIDE = 1 << 29
_SOURCE_LINK, _TARGET_LINK = 1, 2
_OPTION = struct.Struct("!BB6s")
_ICMP6_FILTER = 1
_ALL_NODES = "ff02::1"
_HOPS = 255  # neighbour discovery believes nothing that a router passed on
_MOST = 2048


class Wire:
    """One interface, for one version of IP. Raises OSError: no such interface, no right to do so."""

    def __init__(self, interface: str, version: int) -> None:
        self._interface = interface
        self._version = version
        self.own = hardware_address(interface)
        self._socket = _arp_socket(interface) if version == 4 else _neighbour_socket(interface)  # noqa: PLR2004

    def fileno(self) -> int:
        """For a poll: readable when somebody spoke."""
        return self._socket.fileno()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def announce(self, address: IPAddress) -> None:
        """Say that it is here, in every form that hosts and switches heed. A loss is made good by the next time."""
        with contextlib.suppress(OSError):
            if isinstance(address, ipaddress.IPv4Address):
                # Linux takes a reply for gratuitous only when it is sent to the sender's own hardware address.
                self._arp(_REQUEST, address.packed, address.packed)
                self._arp(_REPLY, address.packed, address.packed, self.own)
            else:
                told = _ND.pack(_ADVERTISEMENT, 0, 0, _OVERRIDE, address.packed)
                self._neighbours(told + _OPTION.pack(_TARGET_LINK, 1, self.own), _ALL_NODES)

    def probe(self, address: IPAddress) -> None:
        """Ask who has it, without saying that it is here; raises OSError when nothing can be sent."""
        if isinstance(address, ipaddress.IPv4Address):
            self._arp(_REQUEST, bytes(4), address.packed)
        else:
            asked = _ND.pack(_SOLICITATION, 0, 0, 0, address.packed) + _OPTION.pack(_SOURCE_LINK, 1, self.own)
            self._neighbours(
                asked, f"ff02::1:ff{address.packed[13]:02x}:{address.packed[14]:02x}{address.packed[15]:02x}"
            )

    def heard(self) -> tuple[IPAddress, str] | None:
        """An address that another machine says it has, and that machine's hardware address; None: of no use."""
        try:
            packet = self._socket.recv(_MOST)
        except OSError:
            return None
        return self._of_arp(packet[_ETHERNET_HEAD:]) if self._version == 4 else self._of_neighbour(packet)  # noqa: PLR2004

    def _of_arp(self, packet: bytes) -> tuple[IPAddress, str] | None:
        if len(packet) < _ARP.size:
            return None
        *head, _, sender, address, _, _ = _ARP.unpack_from(packet)
        if tuple(head) != _ARP_HEAD or sender == self.own or not any(address):
            return None
        return ipaddress.IPv4Address(address), sender.hex(":")

    def _of_neighbour(self, packet: bytes) -> tuple[IPAddress, str] | None:
        if len(packet) < _ND.size:
            return None
        kind, _, _, _, address = _ND.unpack_from(packet)
        sender = packet[_ND.size + 2 : _ND.size + 8]
        if kind != _ADVERTISEMENT or sender == self.own:
            return None
        return ipaddress.IPv6Address(address), sender.hex(":") or "unknown"

    def _arp(self, operation: int, sender: bytes, target: bytes, to: bytes = bytes(6)) -> None:
        ethernet = _BROADCAST + self.own + struct.pack("!H", _ETH_ARP)
        self._socket.send(ethernet + _ARP.pack(*_ARP_HEAD, operation, self.own, sender, to, target))

    def _neighbours(self, message: bytes, to: str) -> None:
        self._socket.sendto(message, (to, 0, 0, socket.if_nametoindex(self._interface)))


def _arp_socket(interface: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    made.bind((interface, _ETH_ARP))
    return made


def _neighbour_socket(interface: str) -> socket.socket:
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_INET6, kind, socket.IPPROTO_ICMPV6)
    passed = bytearray(b"\xff" * 32)  # a set bit keeps a type away
    passed[_ADVERTISEMENT // 32 * 4 : _ADVERTISEMENT // 32 * 4 + 4] = struct.pack(
        "=I", 0xFFFFFFFF & ~(1 << _ADVERTISEMENT % 32)
    )
    made.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, bytes(passed))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    for option in (socket.IPV6_MULTICAST_HOPS, socket.IPV6_UNICAST_HOPS):
        made.setsockopt(socket.IPPROTO_IPV6, option, _HOPS)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    return made
