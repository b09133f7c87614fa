"""Health URLs: what a load balancer is told, also when the daemon's main loop does nothing at all.

These tests are not asynchronous: the board has to answer by itself.
"""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from standfast.endpoints import http as server
from standfast.endpoints.health import STATUS, HealthBoard, Service, Snapshot, Why
from standfast.errors import MachineError
from standfast.ports import boottime_ns

HERE = "127.0.30.61"
MS = 1_000_000
INTERVAL_NS = 50 * MS


@pytest.fixture
def board() -> Iterator[HealthBoard]:
    made = HealthBoard(address=HERE, port=0, interval_ns=INTERVAL_NS, stale_after_ns=60_000 * MS)
    made.start()
    yield made
    made.close()


def shown(*, ready: bool = True, lease_ms: int = 60_000, epoch: int = 3, joined: bool = True) -> Snapshot:
    now_ns = boottime_ns()
    return Snapshot(
        services={
            "orders": Service(ready=ready, epoch=epoch, address=HERE, port=4222),
            "other": Service(ready=False, epoch=1, address=HERE, port=4223),
        },
        lease_end_ns=now_ns + lease_ms * MS,
        alive_ns=now_ns,
        joined=joined,
    )


def ask(board: HealthBoard, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
    with closing(http.client.HTTPConnection(HERE, board.port, timeout=5)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")


def follow(board: HealthBoard, qm: str = "orders") -> tuple[socket.socket, Iterator[dict[str, object]]]:
    sock = socket.create_connection((HERE, board.port), timeout=5)
    sock.sendall(f"GET /queue-managers/{qm}/follow HTTP/1.1\r\n\r\n".encode())
    file = sock.makefile("rb")
    while file.readline().strip():
        pass
    return sock, (json.loads(line) for line in file)


def raw(board: HealthBoard, request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection((HERE, board.port), timeout=5) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(4096), b""))


ACTIVE = "/queue-managers/orders/active"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_active_is_200_only_while_ready_and_leased(board: HealthBoard, method: str) -> None:
    assert ask(board, ACTIVE, method)[0] == 404, "nothing is known yet"
    for snapshot, status in (
        (shown(), 200),
        (shown(ready=False), 503),
        (shown(lease_ms=-1), 503),
        (shown(), 200),
    ):
        board.publish(snapshot)
        assert ask(board, ACTIVE, method)[0] == status
    assert ask(board, "/queue-managers/other/active", method)[0] == 503
    assert ask(board, "/queue-managers/absent/active", method)[0] == 404


def test_the_body_says_why_and_head_has_none(board: HealthBoard) -> None:
    board.publish(shown())
    body = ask(board, ACTIVE)[1]
    assert body["why"] == Why.ACTIVE
    assert (body["epoch"], body["address"], body["port"], body["interval_ms"]) == (3, HERE, 4222, 50)
    assert 50_000 < body["lease_ms"] <= 60_000  # type: ignore[operator]
    board.publish(shown(ready=False))
    assert ask(board, ACTIVE)[1]["why"] == Why.NOT_READY
    board.publish(shown(lease_ms=0))
    assert ask(board, ACTIVE)[1]["why"] == Why.NO_LEASE
    assert raw(board, b"HEAD /live HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")


def test_live_and_ready_tell_a_hung_main_loop_and_a_member_that_has_not_joined(board: HealthBoard) -> None:
    assert ask(board, "/live")[0] == 503, "it has not turned once"
    board.publish(shown(joined=False))
    assert [ask(board, path)[0] for path in ("/live", "/ready")] == [200, 503]
    board.publish(shown())
    assert [ask(board, path)[0] for path in ("/live", "/ready")] == [200, 200]
    board._stale_after_ns = 0
    assert [ask(board, path)[0] for path in ("/live", "/ready")] == [503, 503]


def test_a_follower_hears_at_once_then_each_change_and_every_interval(board: HealthBoard) -> None:
    board.publish(shown(ready=False))
    sock, lines = follow(board)
    with sock:
        assert next(lines)["active"] is False
        board.publish(shown())
        heard = next(line for line in lines if line["active"])
        assert heard["epoch"] == 3
        board.publish(shown(epoch=4))
        assert next(line for line in lines if line["epoch"] == 4)["active"] is True
        for _ in range(3):
            assert next(lines)["active"] is True


def test_a_change_is_told_without_waiting_for_the_interval() -> None:
    board = HealthBoard(address=HERE, port=0, interval_ns=3600 * 1000 * MS, stale_after_ns=1)
    board.start()
    try:
        board.publish(shown(ready=False))
        sock, lines = follow(board)
        with sock:
            assert next(lines)["why"] == Why.NOT_READY
            board.publish(shown())
            assert next(lines)["why"] == Why.ACTIVE
            board.publish(shown())  # nothing new but a longer lease: no line
            board.publish(shown(lease_ms=-1))
            assert next(lines)["why"] == Why.NO_LEASE
            board.publish(shown(lease_ms=300))
            assert next(lines)["why"] == Why.ACTIVE
            assert next(lines)["why"] == Why.NO_LEASE, "told when the lease ends, though nobody publishes"
            assert boottime_ns() >= board._snapshot.lease_end_ns
            board.publish(Snapshot(services={}, lease_end_ns=0, alive_ns=0, joined=True))
            assert list(lines) == [], "the queue manager is no more: the stream ends"
    finally:
        board.close()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /live\r\n\r\n", b"400"),
        (b"GET /live HTTP/2.0\r\n\r\n", b"400"),
        (b"\xff\xfe\r\n\r\n", b"400"),
        (b"GET /live HTTP/1.1\r\nnonsense\r\n\r\n", b"400"),
        (b"DELETE /live HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /live HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"413"),
        (b"GET /live HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"413"),
        (b"GET /" + b"x" * server.MAX_HEAD, b"431"),
        (b"GET /live HTTP/1.0\r\n\r\n", b"503"),
        (b"GET /live HTTP/1.1\r\nConnection: close\r\n\r\n", b"503"),
        (b"GET /.. HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /queue-managers/orders HTTP/1.0\r\n\r\n", b"404"),
    ],
)
def test_bad_and_old_requests_are_answered_and_the_connection_closed(
    board: HealthBoard, request_head: bytes, status: bytes
) -> None:
    answer = raw(board, request_head)
    assert answer.split(b" ")[1] == status
    assert answer.count(b"HTTP/1.1") == 1
    assert ask(board, "/live")[0] == 503, "and the next client is served"


def test_one_connection_serves_many_requests_also_when_they_come_in_one_piece(board: HealthBoard) -> None:
    board.publish(shown())
    request = f"GET {ACTIVE} HTTP/1.1\r\n\r\n".encode()
    last = b"GET /absent HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert raw(board, request * 5 + last).count(b"200 OK") == 5


def test_clients_have_a_bounded_number_of_slots_and_followers_leave_room_for_probes(
    board: HealthBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_STREAMS", 2)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    board.publish(shown())
    streams = [follow(board) for _ in range(2)]
    assert [next(lines)["active"] for _, lines in streams] == [True, True]
    assert raw(board, b"GET /queue-managers/orders/follow HTTP/1.1\r\n\r\n").split(b" ")[1] == b"503"
    assert ask(board, ACTIVE)[0] == 200
    with socket.create_connection((HERE, board.port), timeout=5) as third:
        third.sendall(b"GET /live HTTP/1.1\r\n\r\n")
        assert third.recv(4096)
        with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as the kernel likes
            ask(board, ACTIVE)
    for sock, _ in streams:
        sock.close()


def test_a_silent_client_loses_its_slot(board: HealthBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.05)
    assert raw(board, b"GET /li") == b""
    assert raw(board, b"GET /live HTTP/1.1\r\n\r\n").count(b"HTTP/1.1") == 1


def test_a_busy_client_keeps_its_slot(board: HealthBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.2)
    until_ns = boottime_ns() + 400 * MS
    with socket.create_connection((HERE, board.port), timeout=5) as sock:
        while boottime_ns() < until_ns:
            sock.sendall(b"GET /live HTTP/1.1\r\n\r\n")
            assert sock.recv(4096)


def test_a_follower_that_does_not_read_is_dropped(board: HealthBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_UNSENT", 0)
    board.publish(shown())
    with socket.create_connection((HERE, board.port), timeout=5) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.sendall(b"GET /queue-managers/orders/follow HTTP/1.1\r\n\r\n")
        while board._connections or not board._followers:
            board.publish(shown(epoch=boottime_ns()))
    assert not board._followers["orders"]


def test_a_taken_port_is_told(board: HealthBoard) -> None:
    with pytest.raises(MachineError):
        HealthBoard(address=HERE, port=board.port, interval_ns=1, stale_after_ns=1).start()


def test_closing_frees_the_port_and_ends_the_streams(board: HealthBoard) -> None:
    board.publish(shown())
    sock, lines = follow(board)
    with sock:
        next(lines)
        board.close()
        assert list(lines) == []
        board.publish(shown())
        board.close()
    socket.create_server((HERE, board.port)).close()


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_an_answer_and_only_an_active_one_is_good(why):
    assert (STATUS[why] == 200) is (why is Why.ACTIVE)
    assert STATUS[why] == 200 or STATUS[why] >= 400, "a load balancer may take a redirect for good"
