"""The proxy leads clients to the owner, between real sockets; the members' health boards are the real ones."""

import asyncio
import contextlib
import hashlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from standfast.endpoints import follow, proxy, splice
from standfast.endpoints.follow import Source
from standfast.endpoints.health import HealthBoard, Service, Snapshot
from standfast.endpoints.proxy import Owner, Proxy
from standfast.errors import MachineError
from standfast.ports import boottime_ns

MS = 1_000_000
QM = "orders"
LONG_MS = 60_000
BAD_PORT = b'{"active":true,"why":"active","epoch":1,"address":"h","port":99999,"lease_ms":9,"interval_ms":1}\n'


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BREAK = b"break\n"


def break_off(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset, as a dying process with unread data does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Member:
    """A data member: a real health board, and a server that says its name to each client and echoes the rest."""

    def __init__(self, name: str, address: str, interval_ms: int = LONG_MS) -> None:
        self.name = name
        self.address = address
        self.board = HealthBoard(address=address, port=0, interval_ns=interval_ms * MS, stale_after_ns=1)
        self.server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self.board.start()
        await self.serve()
        self.says(active=False)

    async def serve(self) -> None:
        self.server = await asyncio.start_server(self._serve, self.address, self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(f"{self.name}\n".encode())
            while data := await reader.read(65_536):
                if data == BREAK:
                    break_off(writer)
                    return
                writer.write(data)
                await writer.drain()
            writer.write(b"bye\n")
        writer.close()

    def says(self, *, active: bool, epoch: int = 1, lease_ms: int = LONG_MS, draining: bool = False) -> None:
        service = Service(ready=active, epoch=epoch, address=self.address, port=self.port, draining=draining)
        self.board.publish(
            Snapshot(services={QM: service}, lease_end_ns=boottime_ns() + lease_ms * MS, alive_ns=0, joined=True)
        )

    def close(self) -> None:
        self.board.close()
        if self.server:
            self.server.close()


class Front:
    """A running proxy, and the owners that it told of."""

    def __init__(self, members: list[Member], hold_s: float = 5.0) -> None:
        self.owners: asyncio.Queue[Owner | None] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []
        self.proxy = Proxy(
            address="127.0.30.70",
            port=0,
            queue_manager=QM,
            sources=[Source(member.name, member.address, member.board.port) for member in members],
            hold_s=hold_s,
            changed=self.owners.put_nowait,
        )

    async def owner_is(self, member: str | None, epoch: int = 0) -> None:
        async with asyncio.timeout(5):
            while True:
                owner = await self.owners.get()
                if (owner and owner.member) == member and (not epoch or (owner and owner.epoch) == epoch):
                    return

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.proxy.address, self.proxy.port)
        self.writers.append(writer)
        return reader, writer


@asynccontextmanager
async def scene(hold_s: float = 5.0, interval_ms: int = LONG_MS) -> AsyncIterator[tuple[Front, Member, Member]]:
    a, b = Member("a", "127.0.30.71", interval_ms), Member("b", "127.0.30.72", interval_ms)
    await a.open()
    await b.open()
    front = Front([a, b], hold_s)
    front.proxy.open()
    running = asyncio.create_task(front.proxy.run())
    await asyncio.sleep(0)  # what has not begun would not clean up after itself
    try:
        async with asyncio.timeout(10):
            yield front, a, b
    finally:
        running.cancel()
        await asyncio.wait({running})
        for writer in front.writers:
            writer.close()
        a.close()
        b.close()
    assert running.cancelled()


async def greeted_by(front: Front) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await front.connect()
    return (await reader.readline()).decode().strip(), reader, writer


async def reset(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends by a reset, which a client cannot take for an orderly end."""
    try:
        await reader.read()
    except ConnectionResetError:
        return True
    return False


async def test_clients_reach_the_member_that_says_active() -> None:
    async with scene() as (front, _, b):
        b.says(active=True, epoch=2)
        await front.owner_is("b")
        name, reader, writer = await greeted_by(front)
        assert name == "b"
        assert front.proxy.owner == Owner("b", 2, b.address, b.port)
        writer.write(b"over\n")
        assert await reader.readline() == b"over\n"
        writer.write_eof()
        assert await reader.read() == b"bye\n", "half a close leaves the other half open"
        writer.close()


async def test_a_new_owner_is_followed_at_once_and_connections_to_the_old_one_are_reset() -> None:
    async with scene() as (front, a, b):
        a.says(active=True, epoch=5)
        await front.owner_is("a")
        name, reader, writer = await greeted_by(front)
        assert name == "a"
        b.says(active=True, epoch=6)  # the old owner says nothing: a hung one
        await front.owner_is("b", 6)
        assert await reset(reader)
        assert (await greeted_by(front))[0] == "b"
        writer.close()


async def test_a_larger_epoch_voids_an_active_word_even_before_its_owner_is_ready() -> None:
    async with scene() as (front, a, b):
        a.says(active=True, epoch=5)
        await front.owner_is("a")
        _, reader, _ = await greeted_by(front)
        b.says(active=False, epoch=6)
        await front.owner_is(None)
        assert await reset(reader)


async def test_a_member_that_is_gone_voids_nothing_any_more() -> None:
    async with scene() as (front, a, b):
        b.says(active=False, epoch=6)
        while not (word := front.proxy.followers[1].word) or word.line.epoch != 6:  # noqa: ASYNC110
            await asyncio.sleep(0)
        a.says(active=True, epoch=5)
        b.board.close()
        await front.owner_is("a", 5)


async def test_an_inactive_owner_loses_its_connections() -> None:
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")
        _, reader, _ = await greeted_by(front)
        a.says(active=False)
        await front.owner_is(None)
        assert await reset(reader)


async def test_a_word_runs_out_by_itself_also_when_its_speaker_is_gone() -> None:
    async with scene() as (front, a, _):
        a.says(active=True, lease_ms=200)
        await front.owner_is("a")
        _, reader, _ = await greeted_by(front)
        a.board.close()
        assert front.proxy.owner, "the stream has ended, the word still holds"
        assert await reset(reader)
        assert front.proxy.owner is None


async def test_a_restart_of_the_members_daemon_breaks_no_connection() -> None:
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")
        _, reader, writer = await greeted_by(front)
        a.board.close()
        a.board.start()
        while front.proxy.followers[0].trouble or not a.board._followers.get(QM):  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"


async def test_a_client_that_comes_too_early_is_held_and_loses_nothing() -> None:
    async with scene() as (front, _, b):
        reader, writer = await front.connect()
        writer.write(b"early\n")
        while not front.proxy.clients:  # noqa: ASYNC110 - the accept has no event of its own
            await asyncio.sleep(0)
        b.says(active=True)
        assert await reader.readline() == b"b\n"
        assert await reader.readline() == b"early\n"


async def test_a_held_client_waits_until_the_owner_takes_connections() -> None:
    async with scene() as (front, a, _):
        assert a.server
        a.server.close()
        a.says(active=True)
        await front.owner_is("a")
        reader, _ = await front.connect()
        while not front.proxy.clients:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await a.serve()
        assert await reader.readline() == b"a\n"


async def test_nobody_is_held_for_ever() -> None:
    async with scene(hold_s=0.05) as (front, _, __):
        reader, _writer = await front.connect()
        assert await reset(reader)
        assert front.proxy.clients == 0


async def test_an_attempt_to_reach_an_old_owner_is_given_up_when_a_new_one_speaks() -> None:
    async with scene() as (front, a, b):
        assert a.server
        a.server.close()
        with socket.socket() as deaf:  # takes no connection and refuses none: its backlog is full
            deaf.bind((a.address, 0))
            deaf.listen(0)
            a.port = deaf.getsockname()[1]
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((a.address, a.port))
            a.says(active=True, epoch=1)
            await front.owner_is("a")
            reader, _ = await front.connect()
            while not front.proxy._attempts:  # noqa: ASYNC110
                await asyncio.sleep(0)
            b.says(active=True, epoch=2)
            async with asyncio.timeout(proxy.REACH_S / 2):
                assert await reader.readline() == b"b\n"
            for filler in fillers:
                filler.close()


async def test_a_stream_that_falls_silent_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "CONNECT_S", 60)
    monkeypatch.setattr(follow, "LEAST_SILENCE_S", 0.05)
    monkeypatch.setattr(follow, "RETRY_S", 0.01)
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        writer.write(
            b"HTTP/1.1 200 OK\r\n\r\n"
            b'{"active":false,"why":"not_ready","epoch":9,"address":"","port":0,"lease_ms":0,"interval_ms":1}\n'
        )

    await _asked_again(mute, asked)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nnonsense\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b'{"x":' + b"[" * 4000 + b"\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b'{"why":"\xff"}\n',
        b"HTTP/1.1 200 OK\r\n\r\n" + BAD_PORT,
    ],
)
async def test_nonsense_from_a_member_is_survived(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "RETRY_S", 0.01)
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        writer.write(answer)
        writer.close()

    await _asked_again(talk, asked)


async def _asked_again(talk: Talk, asked: asyncio.Queue[None]) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await talk(reader, writer)

    server = await asyncio.start_server(noted, "127.0.30.73", 0)
    port = server.sockets[0].getsockname()[1]
    follower = follow.Follower(Source("x", "127.0.30.73", port), QM, lambda: None)
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(5):
            for _ in range(3):
                await asked.get()
        assert not follower.word or not follower.word.line.active
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait({running})
        for writer in writers:
            writer.close()
        server.close()


async def test_a_reader_that_stops_stops_the_writer_and_every_byte_arrives_in_its_place() -> None:
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")
        _, reader, writer = await greeted_by(front)
        told = random.Random(1).randbytes(16 * 1024 * 1024 + 1)  # no two stretches of it are alike
        sent = asyncio.create_task(_pour(writer, told))
        client = next(iter(front.proxy._clients))
        while client.transport is None or client.transport.is_reading():  # noqa: ASYNC110 - until it is held back
            await asyncio.sleep(0)
        assert client.alive, "it is held back and not at its end"
        assert client.other is not None
        assert client.other.transport is not None
        assert client.other.transport.get_write_buffer_size() <= 2 * splice.MAX_UNSENT
        got = bytearray()
        while data := await reader.read(1 << 20):
            got += data
        await sent
        assert hashlib.sha256(got).digest() == hashlib.sha256(told + b"bye\n").digest()


async def test_many_at_once_get_each_its_own_bytes() -> None:
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")

        async def one(seed: int) -> bool:
            told = random.Random(seed).randbytes(2 * 1024 * 1024)
            _, reader, writer = await greeted_by(front)
            sent = asyncio.create_task(_pour(writer, told))
            got = await reader.read(-1)
            await sent
            return got == told + b"bye\n"

        assert all(await asyncio.gather(*(one(seed) for seed in range(8))))


async def _pour(writer: asyncio.StreamWriter, told: bytes) -> None:
    for start in range(0, len(told), 1 << 20):
        writer.write(told[start : start + (1 << 20)])
        await writer.drain()
    writer.write_eof()


async def test_sockets_send_at_once_and_notice_a_dead_peer() -> None:
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")
        await greeted_by(front)
        for end in (*front.proxy._clients, *front.proxy._upstreams):
            assert end.transport is not None
            sock = end.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("who", ["client", "owner"])
async def test_a_broken_connection_breaks_the_other_side_too(who: str) -> None:
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")
        _, reader, writer = await greeted_by(front)
        if who == "client":
            break_off(writer)
        else:
            writer.write(BREAK)
            assert await reset(reader)
        while front.proxy._clients or front.proxy._upstreams:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_too_many_clients_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "MAX_CLIENTS", 1)
    async with scene() as (front, a, _):
        a.says(active=True)
        await front.owner_is("a")
        await greeted_by(front)
        reader, _ = await front.connect()
        assert await reset(reader)


async def test_a_taken_port_is_told() -> None:
    async with scene() as (front, _, __):
        with pytest.raises(MachineError):
            Proxy(address=front.proxy.address, port=front.proxy.port, queue_manager=QM, sources=[]).open()


async def test_while_the_owner_is_drained_who_is_connected_goes_on_and_who_comes_waits_for_the_next_one():
    async with scene() as (front, a, b):
        a.says(active=True)
        await front.owner_is("a")
        reader, writer = await front.connect()
        assert await reader.readline() == b"a\n"
        a.says(active=False, draining=True)
        while front.proxy._active.is_set():  # noqa: ASYNC110 - it tells nobody: its owner is the same
            await asyncio.sleep(0.001)
        late, _ = await front.connect()
        waiting = asyncio.create_task(late.readline())
        for _ in range(20):
            writer.write(b"still here\n")
            assert await reader.readline() == b"still here\n"
            await asyncio.sleep(0.01)
        assert not waiting.done()
        b.says(active=True, epoch=2)
        await front.owner_is("b")
        assert await waiting == b"b\n"
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b"", "the old owner's connections end with its ownership"
