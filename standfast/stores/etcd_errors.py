"""What went wrong with one request to etcd, and what may be done about it: one table.

Guarantees: a verdict that allows a *write* to be sent again (ELSEWHERE, WAIT, RENEW) is given only where etcd can not
have executed it, now or later; the row says why. Everything that no row knows is UNKNOWN for a write.
Does not guarantee: that UNKNOWN means executed. It means: read, and see.
Assumes: etcd's own error texts (api/v3rpc/rpctypes/error.go of releases 3.4 to 3.6) and gRPC status codes; nothing
between us and etcd repeats a POST.
"""

from enum import IntEnum, StrEnum

from msgspec import Struct

from standfast.errors import StoreError, StoreFatal, StoreFull, StoreOutcomeUnknown, StoreUnavailable


class Stage(StrEnum):
    """How far a request came."""

    CONNECT = "connect"  # no connection: not a byte of the request left this machine
    SENT = "sent"  # perhaps sent, and no whole answer came back
    ANSWERED = "answered"  # an answer came back, and it is not a success


class Verdict(StrEnum):
    """What may be done after a failure."""

    ELSEWHERE = "elsewhere"  # not executed: ask another endpoint now
    WAIT = "wait"  # not executed: every endpoint would say the same; ask again a little later
    RENEW = "renew"  # not executed: the token is refused, log in and ask again
    UNKNOWN = "unknown"  # a write may have been executed, or still be; read to find out
    FATAL = "fatal"  # not executed, and waiting will not help


class Seen(Struct, frozen=True, kw_only=True):
    """What was seen of a failed request.

    Attributes:
        stage: how far it came.
        status: HTTP status of the answer; 0 when none came.
        code: gRPC status code in the answer's body; None when it holds none (it is not etcd's own then).
        text: etcd's message, or the transport's.
    """

    stage: Stage
    status: int = 0
    code: int | None = None
    text: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """One line of the table; it matches when every condition that it names holds.

    Attributes:
        stage: the stage it is about.
        codes: gRPC codes, one of which must have come; empty: any or none.
        statuses: HTTP statuses of an answer *without* a gRPC code; empty: not asked for.
        text: must occur in the message.
        read: verdict for a request that changes nothing.
        write: verdict for a request that may change something.
        why: the reason, above all why a write was certainly not executed where it may be repeated.
        raises: the error to raise when nothing is left to be done; None: the verdict's own.
    """

    stage: Stage
    codes: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    text: str = ""
    read: Verdict
    write: Verdict
    why: str
    raises: type[StoreError] | None = None

    def matches(self, seen: Seen) -> bool:
        """Whether this row is about what was seen."""
        if self.stage is not seen.stage or self.text not in seen.text:
            return False
        if self.codes and seen.code not in self.codes:
            return False
        return not self.statuses or (seen.code is None and seen.status in self.statuses)


class Code(IntEnum):
    """gRPC status codes (the gRPC specification, doc/statuscodes.md)."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID = 3
    DEADLINE = 4
    NOT_FOUND = 5
    DENIED = 7
    EXHAUSTED = 8
    PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    NO_TOKEN = 16


def _same(verdict: Verdict, why: str, *codes: int, text: str = "", statuses: tuple[int, ...] = ()) -> Row:
    return Row(stage=Stage.ANSWERED, codes=codes, statuses=statuses, text=text, read=verdict, write=verdict, why=why)


TABLE: tuple[Row, ...] = (
    Row(stage=Stage.CONNECT, read=Verdict.ELSEWHERE, write=Verdict.ELSEWHERE, why="no connection: nothing was sent"),
    Row(
        stage=Stage.SENT,
        read=Verdict.ELSEWHERE,
        write=Verdict.UNKNOWN,
        why="cut or silent after sending: etcd may have it",
    ),
    _same(Verdict.RENEW, "the token is checked before the request is proposed", Code.NO_TOKEN),
    _same(
        Verdict.RENEW,
        "refused when applied: permissions changed since the token was checked",
        Code.INVALID,
        text="auth store is old",
    ),
    _same(Verdict.FATAL, "malformed, too large, or no valid login: refused before it is proposed", Code.INVALID),
    _same(Verdict.FATAL, "the user may not do this: refused before it is applied", Code.DENIED),
    _same(
        Verdict.FATAL, "authentication is not enabled, or the call does not fit the server's state", Code.PRECONDITION
    ),
    _same(Verdict.FATAL, "asked for a revision that is compacted or yet to come", Code.OUT_OF_RANGE),
    _same(Verdict.FATAL, "the server does not know the call: too old, or not etcd", Code.UNIMPLEMENTED, Code.NOT_FOUND),
    _same(Verdict.FATAL, "the members' data differ: etcd refuses all work until repaired", Code.DATA_LOSS),
    # Not FATAL: etcd compares with the quota before it proposes a write and once more when it applies it (quota.go),
    # and that second time it answers with this error although it has carried the write out.
    Row(
        stage=Stage.ANSWERED,
        codes=(Code.EXHAUSTED,),
        text="space exceeded",
        read=Verdict.FATAL,
        write=Verdict.UNKNOWN,
        why="the quota is used up: refused, or carried out as the last write that fitted; nothing comes later",
        raises=StoreFull,
    ),
    _same(
        Verdict.FATAL,
        "larger than the server takes: refused while being received",
        Code.EXHAUSTED,
        text="larger than max",
    ),
    _same(
        Verdict.WAIT,
        "the server is behind with applying: refused before it is proposed",
        Code.EXHAUSTED,
        text="too many requests",
    ),
    _same(
        Verdict.ELSEWHERE,
        "refused by the leader requirement, before the call is looked at",
        Code.UNAVAILABLE,
        text="no leader",
    ),
    _same(
        Verdict.WAIT,
        "the server is starting: refused before the call is looked at",
        Code.UNAVAILABLE,
        text="not capable",
    ),
    _same(
        Verdict.WAIT,
        "raft took no proposal: no leader, or leadership is being moved",
        Code.UNKNOWN,
        text="raft proposal dropped",
    ),
    Row(
        stage=Stage.ANSWERED,
        codes=(
            Code.CANCELLED,
            Code.UNKNOWN,
            Code.DEADLINE,
            Code.EXHAUSTED,
            Code.ABORTED,
            Code.INTERNAL,
            Code.UNAVAILABLE,
        ),
        read=Verdict.ELSEWHERE,
        write=Verdict.UNKNOWN,
        why="given up while it was under way; a put without a leader ends as Unknown, 'context deadline exceeded'",
    ),
    _same(
        Verdict.FATAL,
        "something that is not etcd 3.4 or newer answers there, and knows no such page",
        statuses=(404, 405, 501),
    ),
    _same(Verdict.FATAL, "a proxy before etcd refuses us or the size of the request", statuses=(401, 403, 407, 413)),
    Row(stage=Stage.ANSWERED, read=Verdict.ELSEWHERE, write=Verdict.UNKNOWN, why="no etcd error that is known here"),
)
"""The first row that matches decides. The last one matches every answer."""


def row_for(seen: Seen) -> Row:
    """The row of the table that decides."""
    return next(row for row in TABLE if row.matches(seen))


_RAISES: dict[Verdict, type[StoreError]] = {
    Verdict.ELSEWHERE: StoreUnavailable,
    Verdict.WAIT: StoreUnavailable,
    Verdict.RENEW: StoreFatal,
    Verdict.UNKNOWN: StoreOutcomeUnknown,
    Verdict.FATAL: StoreFatal,
}
_NEXT: dict[type[StoreError], str] = {
    StoreUnavailable: "Nothing was changed. See whether a majority of the store's members runs and is in reach.",
    StoreOutcomeUnknown: "It may or may not have been carried out. Read what the store holds before writing again.",
    StoreFatal: "Waiting will not help: mend the cause, then start again.",
    StoreFull: (
        "Queue managers go on where they run, but no owner can change until there is room: run `standfast store "
        "make-room`; `standfast store check` tells more."
    ),
}


class Failed(Exception):  # noqa: N818 - a situation inside this room; it never leaves it
    """One request at one endpoint failed.

    Attributes:
        endpoint: where.
        verdict: what may be done.
        raises: the StoreError to raise when nothing is left to be done.
        why: the table's reason and the words that came back.
    """

    def __init__(self, endpoint: str, verdict: Verdict, why: str, raises: type[StoreError] | None = None) -> None:
        super().__init__(f"{endpoint}: {why}")
        self.endpoint = endpoint
        self.verdict = verdict
        self.raises = raises or _RAISES[verdict]
        self.why = why

    @classmethod
    def of(cls, endpoint: str, seen: Seen, *, write: bool) -> "Failed":
        """The table's judgement of what was seen."""
        row = row_for(seen)
        verdict = row.write if write else row.read
        return cls(endpoint, verdict, f"{seen.text.strip() or f'HTTP status {seen.status}'} ({row.why})", row.raises)


_GRAVITY: tuple[type[StoreError], ...] = (StoreUnavailable, StoreOutcomeUnknown, StoreFatal)


def store_error(doing: str, failures: "list[Failed]") -> StoreError:
    """The gravest of the failures as the error to raise; `doing` says what was tried, such as "reading"."""
    if not failures:
        return StoreUnavailable(f"The store did not answer while {doing}: the time was up. {_NEXT[StoreUnavailable]}")
    kind = max((f.raises for f in failures), key=lambda k: _GRAVITY.index(k) if k in _GRAVITY else len(_GRAVITY))
    told = "; ".join(dict.fromkeys(str(f) for f in failures if f.raises is kind))
    advice = _NEXT.get(kind, "The store may have been restored from an older copy; an operator must look.")
    return kind(f"The store failed while {doing}: {told}. {advice}")
