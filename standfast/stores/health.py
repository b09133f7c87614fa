"""The store's health, for an operator: what each endpoint says, what the whole does, and what is wrong with it.

`examine` asks, `judge` decides; the latter is pure, its answers are enums, their sentences are made at the edge.

How the time of a commit is measured: by a few writes that are refused. Their guard (a revision that can not be) goes
the way of every write (proposed, synced by a majority, applied) and fails only when it is applied, so that the
store holds nothing new afterwards, not even a revision. A disk of its own is told by the histogram that each etcd
keeps since its start.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Iterator
from enum import StrEnum
from statistics import median
from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from standfast.errors import StoreError, StoreFatal
from standfast.model.records import Guard
from standfast.stores import etcd_wire as wire
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_errors import Failed
from standfast.stores.etcd_http import Gateway, NoneAnswered, first_good
from standfast.stores.etcd_version import version_problem

T = TypeVar("T")

ASK_S = 2.0
"""For each answer of an endpoint; longer than a stalled disk that is worth telling from a dead one."""
SAMPLES = 5
"""Refused writes that are timed."""
SLOW_FSYNC_MS = 10.0
"""etcd's own advice for the 99th percentile of WAL syncs (etcd.io, "What does the etcd warning ... mean?")."""
SLOW_COMMIT_MS = 100.0
"""The default heartbeat of etcd: commits slower than this bring elections near."""
PERCENTILE = 0.99
NEARLY_FULL = 0.8
"""Of the quota."""
SPARSE = 0.5
"""A file of which less than this is in use is worth defragmenting, when it is also large."""
LARGE_BYTES = 64 * 1024 * 1024
NO_SUCH_REVISION = (1 << 63) - 1
MS_PER_S = 1000
_PROBE = "events/probe"
_STATUS, _MEMBERS = wire.decoder(wire.StatusAnswer), wire.decoder(wire.MembersAnswer)
_RANGE = wire.decoder(wire.RangeAnswer)
_ALARMS = wire.decoder(wire.AlarmAnswer)
_FSYNC = "etcd_disk_wal_fsync_duration_seconds"
_COMMIT = "etcd_disk_backend_commit_duration_seconds"
_QUOTA = "etcd_server_quota_backend_bytes"


class Disk(Struct, frozen=True, kw_only=True):
    """How long one kind of disk operation has taken since etcd's start, in milliseconds; p99 is a bucket's bound."""

    count: int
    mean_ms: float
    p99_ms: float


class EndpointHealth(Struct, frozen=True, kw_only=True):
    """What one endpoint says of itself.

    Attributes:
        endpoint: its address.
        silent: why it did not answer; empty when it did. Everything below is unknown then.
        member: its name in etcd; empty when the list of members could not be had.
        version: of the server.
        leader: id of the leader as it sees it; 0 when it sees none.
        leads: whether it is that itself.
        term: of raft.
        revision: that it has applied.
        db_bytes: size of its database file.
        used_bytes: of which hold data.
        quota_bytes: above which it refuses writes; 0 when unknown.
        fsync: of the log of raft; None when unknown.
        commit: of the database; None when unknown.
        digest: of all records and their revisions, at the smallest revision that an endpoint has; empty when unknown.
    """

    endpoint: str
    silent: str = ""
    member: str = ""
    version: str = ""
    leader: int = 0
    leads: bool = False
    term: int = 0
    revision: int = 0
    db_bytes: int = 0
    used_bytes: int = 0
    quota_bytes: int = 0
    fsync: Disk | None = None
    commit: Disk | None = None
    digest: str = ""


class StoreHealth(Struct, frozen=True, kw_only=True):
    """The whole store.

    Attributes:
        endpoints: each.
        alarms: that are raised; None when no majority could be asked.
        read_ms: of one linearizable read, in milliseconds; None when it failed.
        commit_ms: of refused writes, each, in milliseconds; empty when none was possible.
        trouble: why reads or writes fail; empty when they do not.
    """

    endpoints: tuple[EndpointHealth, ...]
    alarms: tuple[str, ...] | None
    read_ms: float | None
    commit_ms: tuple[float, ...]
    trouble: str = ""


class Symptom(StrEnum):
    """What can be wrong with the store, the gravest first."""

    CORRUPT = "corrupt"  # the members' data differ: etcd refuses all work
    DIVERGED = "diverged"  # one member's data differ from the others', and etcd works on
    NO_MAJORITY = "no_majority"  # linearizable reads fail
    FULL = "full"  # the alarm NOSPACE: writes are refused
    NO_WRITES = "no_writes"  # reads are answered, writes are not
    SILENT = "silent"  # one endpoint does not answer
    NO_LEADER = "no_leader"  # one endpoint knows no leader
    NEARLY_FULL = "nearly_full"  # the database nears its quota
    SLOW_DISK = "slow_disk"  # one member's log is synced too slowly
    SLOW_COMMIT = "slow_commit"  # writes take longer than the raft heartbeat
    VERSIONS_DIFFER = "versions_differ"  # the members run different releases
    SPARSE = "sparse"  # much of the file is empty
    FAULTY_VERSION = "faulty_version"  # a release with known faults
    UNUSABLE_VERSION = "unusable_version"  # a release that can not be used


GRAVE = frozenset(
    {
        *(Symptom.CORRUPT, Symptom.DIVERGED, Symptom.NO_MAJORITY, Symptom.FULL, Symptom.NO_WRITES),
        Symptom.UNUSABLE_VERSION,
    }
)
"""With these, owners can not change, or members go by different records."""


class Finding(Struct, frozen=True):
    """A symptom, the endpoint that shows it (empty: the whole), and a detail such as a number with its unit."""

    symptom: Symptom
    subject: str = ""
    detail: str = ""


# ---------------------------------------------------------------- asking


async def examine(gateway: Gateway, store: Etcd) -> StoreHealth:
    """Ask every endpoint, and the store as a whole. What fails is a finding, not an error."""
    endpoints = await _compared(gateway, store.keys, await ask_each(gateway))
    alarms = await raised(gateway)
    # A write beyond the quota, even one that is refused, makes etcd raise the alarm: a look must not.
    writable = not alarms and not any(0 < one.quota_bytes <= one.db_bytes for one in endpoints)
    trouble, read_ms = "", None
    commits: list[float] = []
    try:
        read_ms = await _timed(store.read(0))
        commits = [await _timed(_refused_write(store)) for _ in range(SAMPLES if writable else 0)]
    except StoreError as error:
        trouble = str(error)
    return StoreHealth(endpoints=endpoints, alarms=alarms, read_ms=read_ms, commit_ms=tuple(commits), trouble=trouble)


async def ask_each(gateway: Gateway) -> tuple[EndpointHealth, ...]:
    """What each endpoint says of itself."""
    named = await _first(gateway, wire.MEMBERS, {}, _MEMBERS)
    names = {member.id: member.name for member in named.members} if named else {}
    return tuple(await asyncio.gather(*(_endpoint(gateway, one, names) for one in gateway.endpoints)))


async def raised(gateway: Gateway) -> tuple[str, ...] | None:
    """Alarms that are raised, as any endpoint with a majority knows them; None when there is none."""
    answer = await _first(gateway, wire.ALARM, {"action": "GET"}, _ALARMS)
    return None if answer is None else tuple(sorted({one.alarm for one in answer.alarms}))


async def _first(gateway: Gateway, path: str, request: dict[str, str], decoder: "msgspec.json.Decoder[T]") -> T | None:
    """The first good answer of any endpoint; None when there is none."""
    until = asyncio.get_running_loop().time() + ASK_S

    async def attempt(endpoint: str) -> T:
        return await gateway.call(endpoint, path, request, decoder, write=False, until=until)

    try:
        return await first_good(gateway.endpoints, attempt, gateway.patience.hedge_s)
    except NoneAnswered:
        return None


async def _endpoint(gateway: Gateway, endpoint: str, names: dict[int, str]) -> EndpointHealth:
    until = asyncio.get_running_loop().time() + ASK_S
    try:
        status = await gateway.call(endpoint, wire.STATUS, {}, _STATUS, write=False, until=until)
    except Failed as failed:
        return EndpointHealth(endpoint=endpoint, silent=failed.why)
    try:
        metrics = await gateway.page(endpoint, wire.METRICS, until)
    except Failed:
        metrics = ""
    quota = re.search(rf"^{_QUOTA} (\S+)$", metrics, re.MULTILINE)
    return EndpointHealth(
        endpoint=endpoint,
        member=names.get(status.header.member_id, ""),
        version=status.version,
        leader=status.leader,
        leads=status.leader == status.header.member_id,
        term=status.raft_term,
        revision=status.header.revision,
        db_bytes=status.db_size,
        used_bytes=status.db_size_in_use,
        quota_bytes=status.db_size_quota or (int(float(quota[1])) if quota else 0),
        fsync=histogram(metrics, _FSYNC),
        commit=histogram(metrics, _COMMIT),
    )


async def _compared(
    gateway: Gateway, keys: wire.Keys, endpoints: tuple[EndpointHealth, ...]
) -> tuple[EndpointHealth, ...]:
    """With a digest of what each has; all had reached the revision that they are asked for."""
    revision = min((one.revision for one in endpoints if one.revision), default=0)
    until = asyncio.get_running_loop().time() + ASK_S

    async def compared(one: EndpointHealth) -> EndpointHealth:
        if not one.revision:
            return one
        request = wire.copy_request(keys.records, revision)
        try:
            answer = await gateway.call(one.endpoint, wire.RANGE, request, _RANGE, write=False, until=until)
        except Failed:  # compacted meanwhile, or silent: nothing is known
            return one
        found = hashlib.sha256(b"\0".join(b"%b %d" % (pair.key, pair.mod_revision) for pair in answer.kvs))
        return structs.replace(one, digest=found.hexdigest())

    return tuple(await asyncio.gather(*map(compared, endpoints)))


def histogram(metrics: str, name: str) -> Disk | None:
    """A histogram of seconds in the Prometheus text format; None when it is not there or empty."""
    found = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', metrics, re.MULTILINE)
    buckets = [(float(bound), int(float(number))) for bound, number in found]
    total = re.search(rf"^{name}_sum (\S+)$", metrics, re.MULTILINE)
    if not buckets or total is None or not buckets[-1][1]:
        return None
    count = buckets[-1][1]
    p99_s = next(bound for bound, number in buckets if number >= PERCENTILE * count)
    return Disk(count=count, mean_ms=MS_PER_S * float(total[1]) / count, p99_ms=MS_PER_S * p99_s)


async def _timed(work: Awaitable[object]) -> float:
    """Carries it out; how long that took, in milliseconds."""
    began = asyncio.get_running_loop().time()
    await work
    return MS_PER_S * (asyncio.get_running_loop().time() - began)


async def _refused_write(store: Etcd) -> None:
    done = await store.transact([Guard(_PROBE, NO_SUCH_REVISION)], [(_PROBE, b"")])
    assert done is None, "a guard held that can not hold"


# ---------------------------------------------------------------- judging


def judge(health: StoreHealth) -> list[Finding]:
    """Everything that is not as it should be, the gravest first."""
    order = list(Symptom)
    found = [*_of_all(health), *(finding for one in health.endpoints for finding in _of_one(one))]
    return sorted(found, key=lambda finding: order.index(finding.symptom))


def _of_all(health: StoreHealth) -> Iterator[Finding]:
    alarms = health.alarms or ()
    if wire.CORRUPT in alarms:
        yield Finding(Symptom.CORRUPT)
    full = wire.NOSPACE in alarms or any(0 < one.quota_bytes <= one.db_bytes for one in health.endpoints)
    if full:
        yield Finding(Symptom.FULL)
    if health.read_ms is None:
        yield Finding(Symptom.NO_MAJORITY, detail=health.trouble)
    elif health.trouble and not full:
        yield Finding(Symptom.NO_WRITES, detail=health.trouble)
    if health.commit_ms and median(health.commit_ms) > SLOW_COMMIT_MS:
        yield Finding(Symptom.SLOW_COMMIT, detail=f"{median(health.commit_ms):.0f} ms")
    yield from _diverged(health)
    versions = sorted({one.version for one in health.endpoints if one.version})
    if len(versions) > 1:
        yield Finding(Symptom.VERSIONS_DIFFER, detail=", ".join(versions))


def _diverged(health: StoreHealth) -> Iterator[Finding]:
    """Who has other data than most; where as many have the one as the other, than the leader."""
    told = Counter(one.digest for one in health.endpoints if one.digest)
    led = next((one.digest for one in health.endpoints if one.leads), "")
    right = max(told, key=lambda digest: (told[digest], digest == led), default="")
    for one in health.endpoints:
        if one.digest and one.digest != right:
            yield Finding(Symptom.DIVERGED, one.member or one.endpoint)


def _of_one(one: EndpointHealth) -> Iterator[Finding]:
    who = one.member or one.endpoint
    if one.silent:
        yield Finding(Symptom.SILENT, one.endpoint, one.silent)
        return
    try:
        if problem := version_problem(one.version):
            yield Finding(Symptom.FAULTY_VERSION, who, problem)
    except StoreFatal as error:
        yield Finding(Symptom.UNUSABLE_VERSION, who, str(error))
    if not one.leader:
        yield Finding(Symptom.NO_LEADER, who)
    if one.fsync is not None and one.fsync.p99_ms > SLOW_FSYNC_MS:
        yield Finding(Symptom.SLOW_DISK, who, f"99 of 100 syncs within {one.fsync.p99_ms:g} ms")
    if one.quota_bytes and NEARLY_FULL * one.quota_bytes <= one.db_bytes < one.quota_bytes:
        yield Finding(Symptom.NEARLY_FULL, who, f"{100 * one.db_bytes // one.quota_bytes} % of its quota")
    elif one.db_bytes >= LARGE_BYTES and one.used_bytes < SPARSE * one.db_bytes:
        yield Finding(Symptom.SPARSE, who, f"{100 * one.used_bytes // one.db_bytes} % of its file is in use")
