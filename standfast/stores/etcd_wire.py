"""What is said to etcd's JSON gateway, and what it answers: keys, requests, answers.

Source of the format: etcd's api/etcdserverpb/rpc.proto in the JSON mapping of protocol buffers: bytes are base64,
64-bit numbers are strings, false and zero are left out. Three Standfast keys make up the layout::

    /standfast/CLUSTER/records/KEY      every record, so that one range reads them all and no event
    /standfast/CLUSTER/events/ID        the event log
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from standfast.model.records import Guard
from standfast.ports import KeyChange

T = TypeVar("T")

EVENTS = "events/"
"""Keys of the event log begin with this, as callers see them."""

RANGE, TXN, WATCH = "/v3/kv/range", "/v3/kv/txn", "/v3/watch"
LOGIN = "/v3/auth/authenticate"
COMPACT, DEFRAGMENT, ALARM = "/v3/kv/compaction", "/v3/maintenance/defragment", "/v3/maintenance/alarm"
METRICS = "/metrics"
NOSPACE, CORRUPT = "NOSPACE", "CORRUPT"
"""The alarms: the quota is used up; the members' data differ."""
STATUS, MEMBERS, MOVE = "/v3/maintenance/status", "/v3/cluster/member/list", "/v3/maintenance/transfer-leadership"
ADD, REMOVE = "/v3/cluster/member/add", "/v3/cluster/member/remove"
PEERS = "/members"
"""At the peer address; what etcd itself asks before it founds or joins a cluster (cluster_util.go)."""


class Header(Struct, frozen=True):
    """Of every answer; revision is the store's at the moment of the answer."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0


class Pair(Struct, frozen=True):
    """A key and its value."""

    key: bytes
    mod_revision: int
    value: bytes = b""


class RangeAnswer(Struct, frozen=True):
    """To RANGE."""

    header: Header
    kvs: tuple[Pair, ...] = ()
    more: bool = False


class TxnAnswer(Struct, frozen=True):
    """To TXN."""

    header: Header
    succeeded: bool = False


class StatusAnswer(Struct, frozen=True, rename="camel"):
    """To STATUS; leader is a member id, 0 when the member knows none. Sizes in bytes; the quota only since 3.6.

    `errors` holds sentences, and the alarms that are raised, such as `memberID:1 alarm:NOSPACE`.
    """

    header: Header = msgspec.field(name="header")
    version: str
    leader: int = 0
    raft_term: int = 0
    db_size: int = 0
    db_size_in_use: int = 0
    db_size_quota: int = 0
    errors: tuple[str, ...] = ()


class EtcdMember(Struct, frozen=True):
    """One member as etcd lists it. A member that was added and has not started yet has no name."""

    id: int = msgspec.field(name="ID")
    name: str = ""
    peer_urls: tuple[str, ...] = msgspec.field(name="peerURLs", default=())


class PeerMember(Struct, frozen=True):
    """One member in the answer to PEERS. It has client addresses once it has run with a leader."""

    name: str = ""
    peer_urls: tuple[str, ...] = msgspec.field(name="peerURLs", default=())
    client_urls: tuple[str, ...] = msgspec.field(name="clientURLs", default=())


class MembersAnswer(Struct, frozen=True):
    """To MEMBERS."""

    members: tuple[EtcdMember, ...]


class ChangedAnswer(Struct, frozen=True):
    """To ADD and REMOVE: the members after it."""

    members: tuple[EtcdMember, ...]


class RaisedAlarm(Struct, frozen=True):
    """An alarm (NOSPACE, CORRUPT) and the member that raised it; it holds for all of them."""

    alarm: str = ""
    member_id: int = msgspec.field(name="memberID", default=0)


class AlarmAnswer(Struct, frozen=True):
    """To ALARM."""

    alarms: tuple[RaisedAlarm, ...] = ()


class LoginAnswer(Struct, frozen=True):
    """To LOGIN."""

    token: str


class MoveAnswer(Struct, frozen=True):
    """To MOVE: empty."""


class ErrorAnswer(Struct, frozen=True):
    """A refusal."""

    code: int
    message: str = ""


class _Watched(Struct, frozen=True):
    """One message of a watch."""

    header: Header = Header()
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""


class _StreamError(Struct, frozen=True):
    grpc_code: int = 0
    code: int = 0
    message: str = ""


class WatchLine(Struct, frozen=True):
    """One line of a watch's stream: a message, or the error that ends it."""

    result: _Watched | None = None
    error: _StreamError | None = None


def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """A decoder that takes numbers written as strings."""
    return msgspec.json.Decoder(kind, strict=False)


encode = msgspec.json.Encoder().encode


class Keys:
    """Maps the keys that callers see to the keys of one Standfast cluster in etcd, and back."""

    def __init__(self, cluster: str) -> None:
        """Raises ValueError for a name that would break the layout."""
        if not cluster or "/" in cluster or "\0" in cluster:
            raise ValueError(f"Cluster name {cluster!r} can not be part of a key: use letters, digits and dashes.")
        self.root = f"/standfast/{cluster}/".encode()
        self.records = self.root + b"records/"
        self.events = self.root + EVENTS.encode()

    def absolute(self, key: str) -> bytes:
        """The key in etcd."""
        if not key or key == EVENTS:
            raise ValueError(f"{key!r} is no key of a record or an event.")
        return (self.root if key.startswith(EVENTS) else self.records) + key.encode()

    def change(self, pair: Pair) -> KeyChange:
        """The caller's view of a key."""
        base = self.root if pair.key.startswith(self.events) else self.records
        return KeyChange(pair.key[len(base) :].decode(), pair.value, pair.mod_revision)


def after_prefix(prefix: bytes) -> bytes:
    """The first key behind all that begin with `prefix`, which must not end in 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def range_request(prefix: bytes, since: int) -> dict[str, Any]:
    """All keys below `prefix` changed after revision `since`; linearizable, because nothing says otherwise."""
    return {"key": prefix, "range_end": after_prefix(prefix), "min_mod_revision": since + 1}


def copy_request(prefix: bytes, revision: int) -> dict[str, Any]:
    """Keys below `prefix` with their revisions, as the asked endpoint itself has them at `revision`."""
    return range_request(prefix, 0) | {"revision": revision, "serializable": True, "keys_only": True}


def log_request(prefix: bytes, since: int, *, limit: int = 0, until: int = 0) -> dict[str, Any]:
    """Like range_request, in the order of change; at most `limit` keys and changed up to `until`, unless 0."""
    order = {"sort_order": "ASCEND", "sort_target": "MOD", "limit": limit, "max_mod_revision": until}
    return range_request(prefix, since) | order


def page_request(keys: Keys, after: bytes, revision: int, limit: int) -> dict[str, Any]:
    """At most `limit` keys behind the key `after` (empty: all keys), by name, as they were at `revision` (0: now)."""
    start = after + b"\0" if after else keys.root
    return {"key": start, "range_end": after_prefix(keys.root), "revision": revision, "limit": limit}


def txn_request(keys: Keys, guards: Sequence[Guard], puts: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    """Compare the revisions of change, then put. A key that does not exist has revision 0."""
    return {
        "compare": [
            {"target": "MOD", "result": "EQUAL", "key": keys.absolute(g.key), "mod_revision": g.revision}
            for g in guards
        ],
        "success": [{"request_put": {"key": keys.absolute(key), "value": value}} for key, value in puts],
    }


def delete_request(keys: Keys, doomed: Sequence[str]) -> dict[str, Any]:
    """Delete keys."""
    return {"success": [{"request_delete_range": {"key": keys.absolute(key)}} for key in doomed]}


def erase_request(keys: Keys, guard: Guard) -> dict[str, Any]:
    """Delete every key of the cluster if the guard holds."""
    everything = {"key": keys.root, "range_end": after_prefix(keys.root)}
    return txn_request(keys, [guard], []) | {"success": [{"request_delete_range": everything}]}


def watch_request(prefix: bytes, after: int) -> dict[str, Any]:
    """Tell of every change below `prefix` after revision `after`, past ones included."""
    return {"create_request": {"key": prefix, "range_end": after_prefix(prefix), "start_revision": after + 1}}


def in_order(change: KeyChange) -> tuple[bool, int, str]:
    """Sort key of a snapshot: records first, then events, oldest first and as `log` has them."""
    event = change.key.startswith(EVENTS)
    return event, change.revision if event else 0, change.key


def check_transaction(guards: Sequence[Guard], puts: Sequence[tuple[str, bytes]]) -> None:
    """Refuse, with ValueError, what etcd would misunderstand.

    Without a put etcd takes a transaction for a serializable read and answers from one member's memory: its
    guards would prove nothing. A key put twice, or guarded by two revisions, has no meaning.
    """
    if not puts:
        raise ValueError("A transaction without a put proves nothing: add a put, or read instead.")
    if len({key for key, _ in puts}) < len(puts):
        raise ValueError("A transaction puts a key twice: put each key once.")
    if any(guard.revision < 0 for guard in guards):
        raise ValueError("A guard has a negative revision: 0 says that the key must not exist.")
