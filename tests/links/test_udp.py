"""UDP links between real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from standfast.errors import MachineError
from standfast.links.frame import KEY_BYTES
from standfast.links.udp import DRAIN, UdpLinks
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.messages import Ack, Message
from tests.addresses import own

KEY = bytes(KEY_BYTES)
NET, PORT = own(30), 7400


def cluster(**addresses: tuple[str, ...]) -> Cluster:
    return Cluster(
        name="t",
        id="t-1",
        members=tuple(
            MemberSpec(name=name, role=Role.DATA, addresses=at, heartbeat_port=PORT) for name, at in addresses.items()
        ),
    )


TWO_LINKS = cluster(a=(f"{NET}.1", f"{NET}.11"), b=(f"{NET}.2", f"{NET}.12"), w=(f"{NET}.3",))


class Member:
    """A member with real sockets and a box for what it hears."""

    def __init__(self, of: Cluster, name: str) -> None:
        self.name = name
        self.links = UdpLinks(of, name, KEY)
        self.box: asyncio.Queue[Message] = asyncio.Queue()

    def say(self, to: str, number: int) -> None:
        self.links.send(to, Ack(sender=self.name, incarnation=1, sent_ns=number, term_ns=1))

    async def hears(self, number: int) -> None:
        async with asyncio.timeout(5):
            while (await self.box.get()).sent_ns != number:
                pass


@asynccontextmanager
async def members(of: Cluster, *names: str) -> AsyncIterator[list[Member]]:
    made = [Member(of, name) for name in names]
    try:
        for member in made:
            await member.links.open(member.box.put_nowait)
        yield made
    finally:
        for member in made:
            member.links.close()


async def settle(a: Member, b: Member) -> None:
    """Speak until heard on every path, as heartbeats do."""
    async with asyncio.timeout(5):
        while not all(path.heard_ns for path in b.links.paths if path.peer.member == a.name):
            a.say(b.name, -1)
            await asyncio.sleep(0)


async def counted(so: Callable[[], bool]) -> None:
    """Let the loop turn until the counters say so."""
    async with asyncio.timeout(5):
        while not so():  # noqa: ASYNC110 - counts turns of the loop
            await asyncio.sleep(0)


async def test_a_message_goes_over_every_link_and_each_path_knows_when_it_was_heard() -> None:
    async with members(TWO_LINKS, "a", "b", "w") as (a, b, w):
        await settle(a, b)
        a.say("b", 7)
        await b.hears(7)
        await b.hears(7)
        assert [(path.local, path.remote) for path in b.links.paths if path.peer.member == "a"] == [
            (f"{NET}.2", f"{NET}.1"),
            (f"{NET}.12", f"{NET}.11"),
        ]
        await settle(a, w)
        await settle(w, a)
        assert len([p for p in w.links.paths if p.peer.member == "a"]) == 2, "one address, reached from both"
        assert a.links.counters.send_errors == 0


async def test_one_link_is_enough() -> None:
    async with members(TWO_LINKS, "a", "b") as (a, b):
        await settle(a, b)
        asyncio.get_running_loop().remove_reader(b.links._sockets[0])
        a.say("b", 8)
        await b.hears(8)
        assert b.box.empty()


async def test_a_restarted_member_is_heard_again() -> None:
    async with members(TWO_LINKS, "b") as (b,):
        for life in range(3):
            async with members(TWO_LINKS, "a") as (a,):
                for path in b.links.paths:
                    path.heard_ns = 0
                await settle(a, b)
                a.say("b", life)
                await b.hears(life)


async def test_a_flood_of_junk_leaves_the_loop_room_and_the_members_in_touch() -> None:
    async with members(TWO_LINKS, "a", "b") as (a, b):
        await settle(a, b)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in range(DRAIN + 30):
                stranger.sendto(bytes(size), (f"{NET}.2", PORT))
        while not b.links.counters.malformed:  # noqa: ASYNC110 - counts turns of the loop
            await asyncio.sleep(0)
        assert b.links.counters.malformed == DRAIN, "one turn of the loop reads no more"
        a.say("b", 9)
        await b.hears(9)


async def test_sending_never_raises_and_counts_what_failed() -> None:
    lost = cluster(a=(f"{NET}.1",), b=("203.0.113.9",), w=(f"{NET}.3",))
    async with members(lost, "a") as (a,):
        a.say("b", 1)  # a socket bound to the loopback address cannot reach another network
        a.links.send("w", Ack(sender="x" * 70_000, incarnation=1, sent_ns=1, term_ns=1))
        assert a.links.counters.send_errors == 2
    a.say("w", 2)
    assert a.links.counters.send_errors == 3


async def test_a_taken_port_is_told_and_nothing_stays_open() -> None:
    async with members(TWO_LINKS, "a"):
        second = UdpLinks(cluster(a=(f"{NET}.9", f"{NET}.11"), b=(f"{NET}.2",)), "a", KEY)
        with pytest.raises(MachineError):
            await second.open(lambda _: None)
        assert not second._sockets


THREE_AND_ONE = cluster(a=(f"{NET}.1", f"{NET}.11"), b=(f"{NET}.2", f"{NET}.12"), w=(f"{NET}.3",), d=(f"{NET}.4",))


async def test_a_member_that_is_added_is_spoken_to_and_heard_while_the_others_notice_nothing() -> None:
    async with members(TWO_LINKS, "a", "b") as (a, b), members(THREE_AND_ONE, "d") as (d,):
        await settle(a, b)
        d.say("a", 1)
        await asyncio.sleep(0)
        a.links.follow(THREE_AND_ONE)
        await settle(a, d)
        await settle(d, a)
        unmet = b.links.counters.unmet
        a.say("b", 2)
        await b.hears(2)
        assert b.links.counters.unmet == unmet


async def test_a_member_that_is_removed_is_spoken_to_and_heard_no_more() -> None:
    async with members(THREE_AND_ONE, "a", "b", "d") as (a, b, d):
        await settle(a, d)
        await settle(d, a)
        a.links.follow(TWO_LINKS)
        with pytest.raises(KeyError):
            a.say("d", 3)
        strangers = a.links.counters.other_cluster
        d.say("a", 4)
        await settle(a, b)
        await settle(b, a)
        await counted(lambda: a.links.counters.other_cluster > strangers)
        while not a.box.empty():
            assert a.box.get_nowait().sent_ns != 4


async def test_a_member_that_is_removed_and_added_again_must_be_met_anew() -> None:
    async with members(THREE_AND_ONE, "a", "d") as (a, d):
        await settle(d, a)
        a.links.follow(TWO_LINKS)
        a.links.follow(THREE_AND_ONE)
        d.say("a", 5)
        unmet = a.links.counters.unmet
        await counted(lambda: a.links.counters.unmet > unmet)
        await settle(d, a)


async def test_a_member_that_is_replaced_is_reached_at_its_new_address() -> None:
    moved = cluster(a=(f"{NET}.1", f"{NET}.11"), b=(f"{NET}.22",), w=(f"{NET}.3",))
    async with members(TWO_LINKS, "a", "b") as (a, b), members(moved, "b") as (new,):
        await settle(a, b)
        a.links.follow(moved)
        await settle(a, new)
        await settle(new, a)
        while not b.box.empty():
            b.box.get_nowait()
        a.say("b", 6)
        await new.hears(6)
        assert b.box.empty()


@pytest.mark.parametrize("address", ["203.0.113.9", "no.such.host"])
async def test_an_address_that_is_not_of_this_machine_is_told(address: str) -> None:
    with pytest.raises(MachineError):
        await UdpLinks(cluster(a=(address,), b=(f"{NET}.2",)), "a", KEY).open(lambda _: None)


def test_the_room_asks_no_wall_clock() -> None:
    room = Path(__file__).parents[2] / "standfast" / "links"
    assert not [file.name for file in room.glob("*.py") if "time.time(" in file.read_text()]
