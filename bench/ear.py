"""Heartbeats as they pass the loopback device, with the kernel's own time of each: a late listener spoils nothing.

Needs root. What was heard is opened afterwards with the cluster key, so that a heartbeat and the acknowledgement of it
are told apart, and every lease can be reckoned as its holder reckons it.
"""

import ctypes
import socket
import struct
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from standfast.links.frame import Endpoint, Seal
from standfast.model.cluster import Cluster
from standfast.model.messages import Ack, Heartbeat, Message, Refusal
from standfast.ports import LinkCounters, boottime_ns
from standfast.trust import CLUSTER_KEY, load_cluster_key

NS_PER_MS = 1e6
_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS, _SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 35, 26, 33
_BUFFER = 16 * 1024 * 1024
_LARGEST = 65_535
_HEADER = 36
_PROOF = 8
_MESSAGE = 1


class Datagram(NamedTuple):
    """One that was heard: when (CLOCK_REALTIME), between which addresses, and what it carried."""

    at_ns: int
    source: str
    target: str
    frame: bytes


class Said(NamedTuple):
    """One message, with the moment at which it arrived on CLOCK_BOOTTIME."""

    at_ns: int
    target: str
    message: Message


class Ear(threading.Thread):
    """Notes every datagram to a UDP port on the loopback device as it arrives."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        _only_udp_to(self._socket, port)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.settimeout(0.2)
        self._socket.bind(("lo", _ETH_P_IP))
        self.heard: list[Datagram] = []

    def run(self) -> None:
        while not self._over.is_set():
            try:
                packet, extra, _, address = self._socket.recvmsg(_LARGEST, 64)
            except TimeoutError:
                continue
            if address[2] != socket.PACKET_OUTGOING:  # each passes twice: as it leaves, and as it arrives
                seconds, nanos = struct.unpack("qq", extra[0][2][:16])
                ends = (socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]))
                frame = packet[(packet[0] & 0xF) * 4 + 8 :]
                self.heard.append(Datagram(seconds * 10**9 + nanos, *ends, frame))

    def end(self) -> list[Datagram]:
        """Listen no more; what was heard, in the order of arrival."""
        self._over.set()
        self.join()
        self._socket.close()
        return sorted(self.heard)


def opened(heard: list[Datagram], cluster: Cluster, trust: Path) -> list[Said]:
    """The messages in them, each once; hellos are left out."""
    seal = Seal(
        cluster_id=cluster.id,
        key=load_cluster_key(trust / cluster.members[0].name / CLUSTER_KEY),
        me=Endpoint("", 0),
        peers=(),
        counters=LinkCounters(),
    )
    addresses = {address for member in cluster.members for address in member.addresses}
    ciphers: dict[bytes, AESGCM] = {}
    decode = msgspec.msgpack.Decoder(Message).decode
    shift_ns = boottime_ns() - time.time_ns()
    found = []
    for one in heard:
        header, speaker = one.frame[:_HEADER], one.frame[12:28]  # tag and session, see frame.py
        if header[3] != _MESSAGE or one.source not in addresses:  # other clusters may speak on this machine, too
            continue
        cipher = ciphers.get(speaker) or seal._cipher_of(speaker[:8], speaker[8:])  # noqa: SLF001 - nobody else listens in
        ciphers[speaker] = cipher
        nonce = int.from_bytes(header[28:36], "big").to_bytes(12, "big")
        body = cipher.decrypt(nonce, one.frame[_HEADER:], header)[_PROOF:]
        found.append(Said(one.at_ns + shift_ns, one.target, decode(body)))
    return found


def gaps_ms(said: list[Said], member: str) -> list[float]:
    """Between two heartbeats of a member at the same receiver."""
    by_target: dict[str, list[int]] = defaultdict(list)
    for one in said:
        if isinstance(one.message, Heartbeat) and one.message.sender == member:
            by_target[one.target].append(one.at_ns)
    return [(b - a) / NS_PER_MS for times in by_target.values() for a, b in pairwise(times)]


def answers_ms(said: list[Said], member: str) -> list[float]:
    """From a heartbeat's sending until a member's acknowledgement of it arrived."""
    return [
        (one.at_ns - one.message.sent_ns) / NS_PER_MS
        for one in said
        if isinstance(one.message, Ack) and one.message.sender == member
    ]


def least_left_ms(said: list[Said], cluster: Cluster, member: str) -> float:
    """The shortest that a member's lease was just before it was prolonged, as the member itself reckons it."""
    address = next(one.addresses[0] for one in cluster.members if one.name == member)
    needed = len(cluster.members) // 2  # of others: its own voice always counts
    ends: dict[str, int] = {}
    left: list[int] = []
    end_ns = 0
    for one in said:
        ack = one.message
        if not isinstance(ack, Ack) or one.target != address or ack.refusal is not Refusal.NONE:
            continue
        ends[ack.sender] = max(ends.get(ack.sender, 0), ack.sent_ns + ack.term_ns)
        new_ns = sorted(ends.values())[-needed] if len(ends) >= needed else 0
        if new_ns > end_ns:
            left += [end_ns - one.at_ns] if end_ns else []
            end_ns = new_ns
    return min(left) / NS_PER_MS


def _only_udp_to(sock: socket.socket, port: int) -> None:
    """A filter in the kernel (BPF, see socket(7)): other traffic costs next to nothing."""
    steps = (
        (0x30, 0, 0, 9),  # protocol
        (0x15, 0, 4, socket.IPPROTO_UDP),
        (0xB1, 0, 0, 0),  # length of the IP header
        (0x48, 0, 0, 2),  # destination port
        (0x15, 0, 1, port),
        (0x06, 0, 0, _LARGEST),
        (0x06, 0, 0, 0),
    )
    program = b"".join(struct.pack("HBBI", *step) for step in steps)
    kept = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(steps), ctypes.addressof(kept)))


def percentile(values: list[float], share: float) -> float:
    """Of them, sorted."""
    found = sorted(values)
    return found[min(int(len(found) * share), len(found) - 1)]


def spread_of(values: list[float]) -> dict[str, Any]:
    """Median, 99 and 99.9 of a hundred, and the longest."""
    return {
        "n": len(values),
        **{
            name: round(percentile(values, share), 1)
            for name, share in (("median", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))
        },
    }
