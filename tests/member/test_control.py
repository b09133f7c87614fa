"""The control socket: who may, what is answered, and that nobody can break it for the others."""

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from standfast import errors
from standfast.errors import AlreadyRunning, MachineError, NotSafe, Refused, StandfastError, Unreachable, UsageError
from standfast.member import control, control_client
from standfast.member.control import ControlServer
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import (
    Drain,
    EventLine,
    Events,
    Failed,
    Freeze,
    Hello,
    OrderResult,
    Response,
    SafetyReport,
    Status,
    Welcome,
)
from standfast.quorum.signals import Verdict

ANSWER_S = 5.0


class StandIn:
    """A stand-in for the daemon: answers from a table, notes who asked."""

    def __init__(self) -> None:
        self.asked = []
        self.answers = {Hello: Welcome(1, "shop", "a"), Freeze: OrderResult(Verdict.DONE)}
        self.log = [
            EventLine(revision=n, at_unix_ms=1000 * n, teller="a", kind="qm_running", subject="q") for n in (3, 5)
        ]
        self.more = asyncio.Event()
        self.let_go = asyncio.Event()

    async def handle(self, request, actor):
        self.asked.append((request, actor))
        answer = self.answers[type(request)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def events(self, request, actor):
        try:
            for line in self.log:
                if line.revision > request.since:
                    yield line
            while request.follow:
                await self.more.wait()
                self.more.clear()
                yield self.log[-1]
        finally:
            self.let_go.set()


@pytest.fixture
async def member(tmp_path):
    handler = StandIn()
    server = ControlServer(tmp_path / "a.sock", handler)
    await server.open()
    yield SimpleNamespace(path=tmp_path / "a.sock", handler=handler, server=server)
    await server.close()


def client(member) -> ControlClient:
    return ControlClient(member.path, ANSWER_S)


async def say(member, *lines: bytes) -> list[Response]:
    """Raw bytes in, decoded lines out, until the server or a second of silence ends it."""
    reader, writer = await asyncio.open_unix_connection(member.path)
    writer.writelines(lines)
    writer.write_eof()
    got = await asyncio.wait_for(reader.read(), ANSWER_S)
    writer.close()
    return [msgspec.json.decode(line, type=Response) for line in got.splitlines()]


# ---------------------------------------------------------------- conversation


async def test_a_request_is_answered(member):
    async with client(member) as asked:
        assert asked.welcome == Welcome(1, "shop", "a")
        assert await asked.ask(Freeze(), OrderResult) == OrderResult(Verdict.DONE)


async def test_the_actor_is_told_by_the_kernel_and_orders_are_logged_with_it(member, caplog):
    with caplog.at_level(logging.INFO, "standfast.member.control"):
        async with client(member) as asked:
            await asked.ask(Freeze(), OrderResult)
    _, actor = member.handler.asked[-1]
    assert (actor.pid, actor.uid, actor.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert [(r.request, r.actor) for r in caplog.records] == [("Freeze", str(actor))]


async def test_events_come_in_order_and_end(member):
    async with client(member) as asked:
        assert [e.revision async for e in asked.events(Events())] == [3, 5]
        assert [e.revision async for e in asked.events(Events(since=3))] == [5]


async def test_followed_events_come_as_they_happen_and_a_hung_up_follower_is_let_go(member, caplog):
    async with client(member) as asked:
        seen = []
        async for event in asked.events(Events(since=3, follow=True)):
            seen.append(event.revision)
            if len(seen) == 3:
                break
            member.handler.more.set()
    assert seen == [5, 5, 5]
    await asyncio.wait_for(member.handler.let_go.wait(), ANSWER_S)
    await member.server.close()
    assert not caplog.records


@pytest.mark.parametrize("kind", [Refused, NotSafe, errors.StoreOutcomeUnknown])
async def test_a_refusal_arrives_as_the_same_class_with_its_message(member, kind):
    member.handler.answers[Drain] = kind("the reason")
    async with client(member) as asked:
        with pytest.raises(kind) as caught:
            await asked.ask(Drain("a"), OrderResult)
    assert type(caught.value) is kind
    assert str(caught.value) == "the reason"


async def test_an_error_of_the_handler_is_logged_and_costs_only_its_request(member, caplog):
    member.handler.answers[Drain] = ZeroDivisionError("secret detail")
    async with client(member) as asked:
        with pytest.raises(StandfastError) as caught:
            await asked.ask(Drain("a"), OrderResult)
        assert type(caught.value) is StandfastError
        assert "secret" not in str(caught.value)
        assert await asked.ask(Freeze(), OrderResult)
    assert caplog.records[-1].exc_info is not None


async def test_an_answer_of_another_kind_is_refused(member):
    async with client(member) as asked:
        with pytest.raises(Unreachable):
            await asked.ask(Freeze(), SafetyReport)


async def test_another_version_of_the_protocol_is_refused(member):
    (failed,) = await say(member, b'{"do":"hello","version":99}\n')
    assert isinstance(failed, Failed)
    assert failed.error == "Refused"


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b'{"do":"explode"}',
        b'{"do":"move","qm":1,"to":[]}',
        b"\xff\xfe\x00",
        b"[" * 50_000,
        b'{"do":"events","since":"x"}',
    ],
)
async def test_a_bad_request_is_answered_and_the_next_one_served(member, line):
    failed, done = await say(member, line + b"\n", b'{"do":"freeze"}\n')
    assert isinstance(failed, Failed)
    assert failed.error == "UsageError"
    assert done == OrderResult(Verdict.DONE)


async def test_unknown_keys_are_ignored_for_newer_clients(member):
    assert await say(member, b'{"do":"freeze","because":"x"}\n') == [OrderResult(Verdict.DONE)]


async def test_an_endless_line_ends_its_connection_only(member):
    (failed,) = await say(member, b"x" * (control.MAX_REQUEST_BYTES + 1))
    assert failed.error == "UsageError"
    async with client(member) as asked:
        await asked.ask(Freeze(), OrderResult)


async def test_half_a_request_is_not_carried_out(member):
    assert await say(member, b'{"do":"freeze"}') == []
    assert member.handler.asked == []


async def test_too_many_connections_are_told_so_and_free_slots_serve_again(member, monkeypatch):
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 1)
    async with client(member):
        with pytest.raises(Refused):
            async with client(member):
                pass
    async with asyncio.timeout(ANSWER_S):  # the server learns of a hang-up when it gets to it
        while True:
            with contextlib.suppress(Refused):
                async with client(member) as asked:
                    await asked.ask(Freeze(), OrderResult)
                    break


# ---------------------------------------------------------------- the socket file


async def test_only_the_owner_may_open_it(member):
    assert member.path.stat().st_mode & 0o777 == 0o600


async def test_a_group_may_be_let_in(tmp_path):
    import grp

    name = grp.getgrgid(os.getgid()).gr_name
    server = ControlServer(tmp_path / "g.sock", StandIn(), group=name)
    await server.open()
    assert (tmp_path / "g.sock").stat().st_mode & 0o777 == 0o660
    assert (tmp_path / "g.sock").stat().st_gid == os.getgid()
    await server.close()


async def test_an_unknown_group_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(MachineError):
        await ControlServer(tmp_path / "g.sock", StandIn(), group="no-such-group").open()
    assert list(tmp_path.iterdir()) == []


async def test_a_second_member_on_the_same_socket_is_refused_and_the_first_goes_on(member):
    with pytest.raises(AlreadyRunning):
        await ControlServer(member.path, StandIn()).open()
    async with client(member) as asked:
        await asked.ask(Freeze(), OrderResult)


async def test_what_a_dead_member_left_is_replaced(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ControlServer(path, StandIn())
    await server.open()
    async with ControlClient(path, ANSWER_S) as asked:
        assert asked.welcome.member == "a"
    await server.close()
    assert not path.exists()


@pytest.mark.parametrize("where", ["none/a.sock", "x" * 120, "file"])
async def test_a_path_that_can_not_be_used_is_refused(tmp_path, where):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(MachineError):
        await ControlServer(tmp_path / where, StandIn()).open()
    assert (tmp_path / "file").read_text() == "precious"


async def test_closing_ends_every_conversation_and_is_repeatable(member):
    async with client(member) as asked:
        await member.server.close()
        await member.server.close()
        with pytest.raises(Unreachable):
            await asked.ask(Freeze(), OrderResult)


# ---------------------------------------------------------------- nobody there


@pytest.mark.parametrize("what", ["nothing", "dead", "silent", "babbling", "crowded"])
async def test_nobody_behind_the_socket_is_unreachable_within_the_deadline(tmp_path, what):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        if what != "nothing":
            sock.bind(str(path))
        if what in {"silent", "babbling"}:
            sock.listen(1)
            sock.setblocking(False)
        crowd = _crowd(sock, path) if what == "crowded" else []
        deadline_s = 0.05 if what == "silent" else ANSWER_S
        talk = asyncio.ensure_future(_enter(ControlClient(path, deadline_s)))
        if what == "babbling":
            peer, _ = await asyncio.get_running_loop().sock_accept(sock)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n")
        with pytest.raises(Unreachable):
            await talk
        for one in crowd:
            one.close()


def _crowd(listener: socket.socket, path: Path) -> list[socket.socket]:
    """As many as a listener that accepts nobody lets wait."""
    listener.listen(0)
    waiting: list[socket.socket] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            waiting.append(one)
            one.connect(str(path))
    return waiting


async def _enter(asked: ControlClient) -> None:
    async with asked:
        await asked.ask(Status(), OrderResult)


def test_every_error_of_the_tree_can_travel():
    assert control_client._ERRORS["UsageError"] is UsageError
    assert set(control_client._ERRORS) >= {name for name in vars(errors) if name[:1].isupper() and name != "ClassVar"}
