"""Pings of loopback addresses: answered or not, both versions, and what a member makes of them."""

import asyncio
import socket

import pytest

from standfast.errors import MachineError
from standfast.links import ping
from standfast.links.ping import Pinger, checksum, open_socket
from standfast.member.hops import Hops
from standfast.member.report import NoticeKind
from standfast.model.cluster import Cluster, MemberSpec, Policy, Role
from standfast.model.messages import Hop
from standfast.quorum import signals as sig

HERE, ALSO_HERE = "127.0.43.1", "127.0.43.2"
SILENT = "240.0.0.1"
"""Reserved: nothing is ever there, and no route leads to it."""
WITHIN_S = 0.3


async def answered(*addresses: str) -> bool:
    pinger = Pinger()
    try:
        return await pinger.round(addresses, WITHIN_S)
    finally:
        pinger.close()


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [((HERE,), True), ((SILENT,), False), ((SILENT, HERE), True), (("::1",), True), ((HERE, "::1", ALSO_HERE), True)],
)
def test_one_answer_of_any_address_is_enough(addresses, expected):
    assert asyncio.run(answered(*addresses)) is expected


def test_a_raw_socket_serves_where_the_kernel_allows_no_other(monkeypatch):
    real = socket.socket

    def only_raw(family, kind, protocol, *rest):
        if protocol in ping.PROTOCOL.values() and kind & socket.SOCK_RAW != socket.SOCK_RAW:
            raise PermissionError
        return real(family, kind, protocol, *rest)

    monkeypatch.setattr(ping.socket, "socket", only_raw)
    opened, raw = open_socket(socket.AF_INET)
    opened.close()
    assert raw
    assert asyncio.run(answered(HERE))


def test_the_checksum_of_a_packet_that_carries_it_is_zero():
    packet = bytes([8, 0, 0, 0, 0, 0, 0, 7]) + b"payload of odd size"
    whole = packet[:2] + checksum(packet).to_bytes(2, "big") + packet[4:]
    assert checksum(whole) == 0


class Notices:
    def __init__(self) -> None:
        self.held: dict[NoticeKind, str] = {}

    def notice(self, kind: NoticeKind, subject: str = "", detail: str = "") -> None:
        self.held[kind] = detail


def cluster_of(*hops: str) -> Cluster:
    member = MemberSpec(name="a", role=Role.DATA, addresses=(HERE,), hops=hops)
    policy = Policy(hop_interval_ms=50, hop_missed=2, hop_found=4)
    return Cluster(name="c", id="c", members=(member,), policy=policy)


async def lived(now: dict[str, Cluster], until: Hop, notices: Notices) -> list[Hop]:
    """What the core is told, until it is told that."""
    told: asyncio.Queue[Hop] = asyncio.Queue()
    seen: list[Hop] = []

    def give(given: sig.Input) -> None:
        assert isinstance(given, sig.FitnessChanged)
        told.put_nowait(given.hop)

    async with asyncio.timeout(5):
        task = asyncio.create_task(Hops("a", lambda: now["cluster"], give, notices).run())
        while not seen or seen[-1] is not until:
            seen.append(await told.get())
            if seen == [Hop.FOUND]:
                now["cluster"] = cluster_of(SILENT)
            elif seen[-1] is Hop.LOST:
                now["cluster"] = cluster_of(HERE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return seen


def test_a_member_tells_its_core_that_its_hop_is_lost_and_returns_by_the_settings_in_force():
    notices = Notices()
    seen = asyncio.run(lived({"cluster": cluster_of(HERE)}, Hop.RETURNING, notices))
    assert seen == [Hop.FOUND, Hop.LOST, Hop.RETURNING]
    assert notices.held == {NoticeKind.HOP_UNCHECKED: ""}


def test_where_no_pings_are_allowed_nothing_is_lost_and_a_person_is_told(monkeypatch):
    def refused(_):
        raise MachineError("no pings")

    monkeypatch.setattr(ping, "open_socket", refused)
    notices = Notices()
    assert asyncio.run(lived({"cluster": cluster_of(HERE)}, Hop.UNKNOWN, notices)) == [Hop.UNKNOWN]
    assert notices.held == {NoticeKind.HOP_UNCHECKED: "no pings"}
