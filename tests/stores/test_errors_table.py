"""The table of store errors, row by row, with what etcd 3.4 to 3.6 really say."""

import json

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from standfast.errors import StoreFatal, StoreFull, StoreOutcomeUnknown, StoreUnavailable, StoreWentBack
from standfast.stores.etcd_errors import TABLE, Code, Failed, Seen, Stage, Verdict, row_for, store_error
from standfast.stores.etcd_http import _answered, _unanswered

ELSEWHERE, WAIT, RENEW, UNKNOWN, FATAL = (
    Verdict.ELSEWHERE,
    Verdict.WAIT,
    Verdict.RENEW,
    Verdict.UNKNOWN,
    Verdict.FATAL,
)


_KEY = ConnectionKey("127.0.20.1", 1, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


def said(code: int, text: str) -> Seen:
    """As it comes from the gateway of 3.4 and 3.5."""
    body = json.dumps({"error": text, "message": text, "code": code})
    return _answered(503, body.encode())


def page(status: int) -> Seen:
    return _answered(status, b"<html>a page that is not etcd's</html>")


CASES: list[tuple[int, Seen, Verdict, Verdict]] = [
    (0, Seen(stage=Stage.CONNECT, text="Connect call failed"), ELSEWHERE, ELSEWHERE),
    (1, Seen(stage=Stage.SENT, text="Server disconnected"), ELSEWHERE, UNKNOWN),
    (2, said(16, "etcdserver: invalid auth token"), RENEW, RENEW),
    (3, said(3, "etcdserver: revision of auth store is old"), RENEW, RENEW),
    (4, said(3, "etcdserver: user name is empty"), FATAL, FATAL),
    (4, said(3, "etcdserver: too many operations in txn request"), FATAL, FATAL),
    (4, said(3, "etcdserver: request is too large"), FATAL, FATAL),
    (4, said(3, "etcdserver: authentication failed, invalid user ID or password"), FATAL, FATAL),
    (5, said(7, "etcdserver: permission denied"), FATAL, FATAL),
    (6, said(9, "etcdserver: authentication is not enabled"), FATAL, FATAL),
    (7, said(11, "etcdserver: mvcc: required revision has been compacted"), FATAL, FATAL),
    (8, said(12, "unknown service etcdserverpb.KV"), FATAL, FATAL),
    (8, said(5, "Not Found"), FATAL, FATAL),
    (9, said(15, "etcdserver: corrupt cluster"), FATAL, FATAL),
    (10, said(8, "etcdserver: mvcc: database space exceeded"), FATAL, UNKNOWN),
    (11, said(8, "grpc: received message larger than max (2500019 vs. 2097152)"), FATAL, FATAL),
    (12, said(8, "etcdserver: too many requests"), WAIT, WAIT),
    (13, said(14, "etcdserver: no leader"), ELSEWHERE, ELSEWHERE),
    (14, said(14, "etcdserver: not capable"), WAIT, WAIT),
    (15, said(2, "raft proposal dropped"), WAIT, WAIT),
    (16, said(2, "context deadline exceeded"), ELSEWHERE, UNKNOWN),
    (16, said(4, "context deadline exceeded"), ELSEWHERE, UNKNOWN),
    (16, said(1, "context canceled"), ELSEWHERE, UNKNOWN),
    (16, said(8, "something else used up"), ELSEWHERE, UNKNOWN),
    (16, said(10, "aborted"), ELSEWHERE, UNKNOWN),
    (16, said(13, "transport: the stream is done"), ELSEWHERE, UNKNOWN),
    (16, said(14, "etcdserver: request timed out"), ELSEWHERE, UNKNOWN),
    (16, said(14, "etcdserver: request timed out, possibly due to previous leader failure"), ELSEWHERE, UNKNOWN),
    (16, said(14, "etcdserver: leader changed"), ELSEWHERE, UNKNOWN),
    (16, said(14, "etcdserver: server stopped"), ELSEWHERE, UNKNOWN),
    (16, said(14, "transport is closing"), ELSEWHERE, UNKNOWN),
    (17, page(404), FATAL, FATAL),
    (18, page(413), FATAL, FATAL),
    (19, page(502), ELSEWHERE, UNKNOWN),
    (19, page(504), ELSEWHERE, UNKNOWN),
    (19, page(200), ELSEWHERE, UNKNOWN),
    (19, said(6, "a code that etcd does not use"), ELSEWHERE, UNKNOWN),
    (19, said(404, "a code that is none"), ELSEWHERE, UNKNOWN),
]


@pytest.mark.parametrize(("row", "seen", "read", "write"), CASES, ids=lambda v: getattr(v, "text", ""))
def test_each_answer_meets_its_row(row: int, seen: Seen, read: Verdict, write: Verdict) -> None:
    found = row_for(seen)
    assert TABLE.index(found) == row
    assert (found.read, found.write) == (read, write)


def test_every_row_and_every_code_of_a_row_is_walked() -> None:
    walked = {(row, seen.code) for row, seen, _, _ in CASES}
    for number, row in enumerate(TABLE):
        assert any(number == walked_row for walked_row, _ in walked)
        for code in row.codes:
            assert (number, code) in walked


def test_a_read_is_never_unknown_and_a_write_never_freer_than_a_read() -> None:
    for row in TABLE:
        assert row.read is not UNKNOWN
        assert row.write in (row.read, UNKNOWN)
        assert row.why


def test_what_no_row_knows_is_unknown_for_a_write() -> None:
    for code in [None, *range(-1, 40)]:
        seen = Seen(stage=Stage.ANSWERED, status=500, code=code, text="unheard of")
        assert row_for(seen).write is (
            FATAL if code in _ALWAYS_REFUSED else RENEW if code == Code.NO_TOKEN else UNKNOWN
        )


_ALWAYS_REFUSED = {
    Code.INVALID,
    Code.NOT_FOUND,
    Code.DENIED,
    Code.PRECONDITION,
    Code.OUT_OF_RANGE,
    Code.UNIMPLEMENTED,
    Code.DATA_LOSS,
}


@pytest.mark.parametrize(
    ("error", "stage"),
    [
        (aiohttp.ConnectionTimeoutError(), Stage.CONNECT),
        (aiohttp.ClientConnectorError(_KEY, OSError(111, "refused")), Stage.CONNECT),
        (aiohttp.SocketTimeoutError(), Stage.SENT),
        (aiohttp.ServerDisconnectedError(), Stage.SENT),
        (aiohttp.ClientOSError(104, "reset"), Stage.SENT),
        (aiohttp.ClientPayloadError(), Stage.SENT),
        (ConnectionResetError(), Stage.SENT),
        (TimeoutError(), Stage.SENT),
    ],
    ids=lambda v: type(v).__name__,
)
def test_only_a_missing_connection_proves_that_nothing_was_sent(error: Exception, stage: Stage) -> None:
    assert _unanswered(error).stage is stage


@pytest.mark.parametrize(
    ("verdicts", "raised"),
    [
        ([], StoreUnavailable),
        ([ELSEWHERE, WAIT], StoreUnavailable),
        ([ELSEWHERE, FATAL, ELSEWHERE], StoreFatal),
        ([UNKNOWN], StoreOutcomeUnknown),
        ([RENEW], StoreFatal),
    ],
)
def test_the_gravest_failure_is_raised(verdicts: list[Verdict], raised: type[Exception]) -> None:
    assert type(store_error("reading", [Failed("e", verdict, "why") for verdict in verdicts])) is raised


def test_a_full_store_is_told_from_all_other_troubles() -> None:
    for write in (False, True):
        full = Failed.of("e", said(8, "etcdserver: mvcc: database space exceeded"), write=write)
        assert type(store_error("writing", [full, Failed("f", UNKNOWN, "why")])) is StoreFull


def test_an_older_answer_is_graver_than_all() -> None:
    failures = [Failed("e", FATAL, "why"), Failed("e", ELSEWHERE, "old", StoreWentBack), Failed("e", ELSEWHERE, "why")]
    assert type(store_error("reading", failures)) is StoreWentBack
