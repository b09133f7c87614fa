"""A three-member etcd that loses members, and answers that are late, lost or wrong."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest

from standfast.errors import StoreFatal, StoreOutcomeUnknown, StoreUnavailable, StoreWentBack
from standfast.model.records import Guard
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.leadership import Leadership, move_leadership
from tests.stores.conftest import PATIENCE
from tests.stores.etcds import Etcds, octets
from tests.stores.middleman import Answer, Fault, Middleman

RANGE, TXN, WATCH = "/v3/kv/range", "/v3/kv/txn", "/v3/watch"
ALWAYS_PROVE = Patience(operation_s=1.0, try_s=0.3, hedge_s=0.1, fresh_s=0.0)


@asynccontextmanager
async def client(endpoints: list[str], patience: Patience = PATIENCE, cluster: str = "") -> AsyncIterator[Etcd]:
    etcd = Etcd(cluster or f"t-{uuid4().hex}", endpoints, patience=patience)
    try:
        yield etcd
    finally:
        await etcd.close()


@pytest.fixture
async def middle(etcds: Etcds) -> AsyncIterator[Middleman]:
    async with Middleman(etcds.endpoint("a"), f"127.0.20.{octets() + 8}") as stand_in:
        yield stand_in


@pytest.fixture
def healed(etcds: Etcds) -> Iterator[Etcds]:
    """Members may be killed: they are started again."""
    yield etcds
    etcds.start(*(name for name in etcds.names if name not in etcds.running))


def first(name: str, etcds: Etcds) -> list[str]:
    return sorted(etcds.endpoints, key=lambda endpoint: endpoint != etcds.endpoint(name))


def follower(etcds: Etcds) -> str:
    leader = etcds.leader()
    return next(name for name in etcds.names if name != leader)


# ---------------------------------------------------------------- members lost


async def test_a_dead_member_costs_next_to_nothing(healed: Etcds) -> None:
    dead = follower(healed)
    async with client(first(dead, healed)) as etcd:
        revision = await etcd.transact([], [("k", b"1")])
        healed.kill(dead)
        started = time.monotonic()
        assert await etcd.transact([Guard("k", revision)], [("k", b"2")])
        assert (await etcd.read(0)).changes[0].value == b"2"
        assert time.monotonic() - started < PATIENCE.try_s


async def test_a_member_that_hangs_costs_a_read_the_hedge_delay(etcds: Etcds) -> None:
    hung = follower(etcds)
    async with client(first(hung, etcds)) as etcd:
        await etcd.read(0)
        etcd._gateway.trust(etcds.endpoint(hung))
        etcds.freeze(hung)
        try:
            started = time.monotonic()
            await etcd.read(0)
            assert PATIENCE.hedge_s <= time.monotonic() - started < PATIENCE.try_s
        finally:
            etcds.thaw(hung)


async def test_a_write_does_not_go_to_a_member_that_hangs(etcds: Etcds) -> None:
    hung = follower(etcds)
    async with client(first(hung, etcds), ALWAYS_PROVE) as etcd:
        await etcd.read(0)
        etcds.freeze(hung)
        try:
            assert await etcd.transact([], [("k", b"1")])
        finally:
            etcds.thaw(hung)


async def test_a_lost_majority_is_told_by_the_deadline_and_surely_nothing_was_written(healed: Etcds) -> None:
    brief = Patience(operation_s=0.4, try_s=0.1, hedge_s=0.05)
    keys = f"t-{uuid4().hex}"
    left = healed.names[0]
    async with client(healed.endpoints, brief, keys) as etcd:
        await etcd.read(0)
        healed.kill(healed.names[1])
        healed.kill(healed.names[2])
        await no_leader_at(healed, left)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await etcd.read(0)
        with pytest.raises(StoreUnavailable):
            await etcd.transact([], [("k", b"1")])
        with pytest.raises(StoreUnavailable):
            await etcd.wake(0)
        assert time.monotonic() - started < 2.5 * brief.operation_s
    healed.start(healed.names[1])
    async with client(healed.endpoints, cluster=keys) as etcd:
        assert (await etcd.read(0)).changes == ()


async def no_leader_at(etcds: Etcds, name: str) -> None:
    """Wait until the member knows that it has no leader."""
    async with asyncio.timeout(10):
        while "leader" in await asyncio.to_thread(etcds.post, name, "/v3/maintenance/status"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_leaders_death_is_waited_out(healed: Etcds) -> None:
    leader = healed.leader()
    others = [healed.endpoint(name) for name in healed.names if name != leader]
    async with client([*others, healed.endpoint(leader)]) as etcd:
        revision = await etcd.transact([], [("k", b"1")])
        healed.kill(leader)
        await asyncio.sleep(PATIENCE.fresh_s)  # the doubt time of a takeover is far longer
        second = await etcd.transact([Guard("k", revision)], [("k", b"2")])
        assert second is not None
        assert (await etcd.read(0)).changes[0].value == b"2"


async def test_leadership_moves_where_it_shall_and_writes_go_on(etcds: Etcds) -> None:
    leader = etcds.leader()
    to = follower(etcds)
    async with client(etcds.endpoints, Patience(operation_s=1.0)) as etcd:
        writing = asyncio.create_task(count_up(etcd))
        gateways = {name: Gateway([etcds.endpoint(name)], patience=PATIENCE) for name in etcds.names}
        assert await move_leadership(gateways[to], to, 3.0) is Leadership.NOT_OURS
        assert await move_leadership(gateways[leader], "nobody", 3.0) is Leadership.NO_SUCH_MEMBER
        assert await move_leadership(gateways[leader], leader, 3.0) is Leadership.WELL_PLACED
        assert await move_leadership(gateways[leader], to, 3.0) is Leadership.MOVED
        assert await asyncio.to_thread(etcds.leader) == to
        for gateway in gateways.values():
            await gateway.close()
        await writing


async def count_up(etcd: Etcd) -> None:
    """Guarded writes one after the other; a leader that hands over may drop one, whose outcome is then unknown."""
    revision, unsure = 0, False
    for number in range(100):
        written = None
        with contextlib.suppress(StoreOutcomeUnknown):
            written = await etcd.transact([Guard("k", revision)], [("k", b"%d" % number)])
            assert written is not None or unsure, "refused, though nobody else writes"
        unsure = written is None
        if written is None:
            found = (await etcd.read(0)).changes
            written = found[0].revision if found else 0
        revision = written


# ---------------------------------------------------------------- answers lost


async def test_a_write_whose_answer_is_lost_is_unknown_and_sent_once(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
        await etcd.read(0)
        middle.faults[TXN] = Fault.CUT
        with pytest.raises(StoreOutcomeUnknown):
            await etcd.transact([], [("k", b"1")])
        assert middle.seen[TXN] == 1
        assert [(c.key, c.value) for c in (await etcd.read(0)).changes] == [("k", b"1")]


async def test_a_write_that_is_never_answered_is_unknown_at_the_deadline(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")], ALWAYS_PROVE) as etcd:
        middle.faults[TXN] = Fault.HANG
        started = time.monotonic()
        with pytest.raises(StoreOutcomeUnknown):
            await etcd.transact([], [("k", b"1")])
        assert time.monotonic() - started < ALWAYS_PROVE.operation_s + 0.1
        assert (await etcd.read(0)).changes == ()


async def test_a_write_is_sent_elsewhere_when_nothing_was_sent(etcds: Etcds) -> None:
    async with Middleman(etcds.endpoint("a"), f"127.0.20.{octets() + 9}") as gone:
        etcd = Etcd(f"t-{uuid4().hex}", [gone.endpoint, etcds.endpoint("b")], patience=Patience(fresh_s=60.0))
        await etcd.read(0)
    try:
        assert await etcd.transact([], [("k", b"1")])
        assert gone.seen[TXN] == 0
    finally:
        await etcd.close()


async def test_an_answer_of_no_leader_to_a_write_sends_it_elsewhere(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
        await etcd.read(0)
        middle.refusals[TXN] = (503, {"error": "etcdserver: no leader", "message": "etcdserver: no leader", "code": 14})
        middle.refusals[RANGE] = middle.refusals[TXN]
        assert await etcd.transact([Guard("k", 0)], [("k", b"1")])
        assert middle.seen[TXN] == 1


async def test_a_put_that_etcd_gave_up_is_unknown(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
        await etcd.read(0)
        middle.refusals[TXN] = (500, {"message": "context deadline exceeded", "code": 2})
        with pytest.raises(StoreOutcomeUnknown):
            await etcd.transact([], [("k", b"1")])
        assert middle.seen[TXN] == 1


async def test_reads_go_elsewhere_when_connections_are_cut(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
        for fault in (Fault.CUT, Fault.SWALLOW):
            middle.faults[RANGE] = fault
            assert (await etcd.read(0)).changes == ()


# ---------------------------------------------------------------- answers refused


def older(answer: Answer) -> Answer:
    return answer | {"header": answer["header"] | {"revision": "1"}}


def foreign(answer: Answer) -> Answer:
    return answer | {"header": answer["header"] | {"cluster_id": "4711"}}


async def test_an_answer_that_goes_back_is_refused_and_another_member_asked(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
        written = await etcd.transact([], [("k", b"1")])
        middle.edits[RANGE] = older
        answer = await etcd.read(0)
        assert answer.revision >= written
        assert answer.changes[0].value == b"1"


async def test_when_every_answer_goes_back_it_is_said(middle: Middleman) -> None:
    async with client([middle.endpoint]) as etcd:
        await etcd.transact([], [("k", b"1")])
        middle.edits = {RANGE: older, TXN: older}
        with pytest.raises(StoreWentBack):
            await etcd.read(0)
        with pytest.raises(StoreWentBack):
            await etcd.transact([], [("k", b"2")])
    async with client([middle.endpoint]) as newcomer:
        with pytest.raises(StoreWentBack):
            await newcomer.read(1_000)


async def test_an_answer_that_was_overtaken_did_not_go_back(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint], Patience(hedge_s=0.5)) as etcd:
        before = (await etcd.read(0)).revision
        overtaken = asyncio.Event()
        middle.holds[RANGE] = overtaken
        slow = asyncio.create_task(etcd.read(0))
        await middle.holding.wait()
        written = await etcd.transact([], [("k", b"1")])
        overtaken.set()
        assert before <= (await slow).revision < written


async def test_another_etcd_cluster_is_refused(etcds: Etcds, middle: Middleman) -> None:
    async with client([etcds.endpoint("b"), middle.endpoint]) as etcd:
        await etcd.read(0)
        known = etcd.etcd_cluster
    middle.edits = {RANGE: foreign, TXN: foreign}
    keys = f"t-{uuid4().hex}"
    stranger = Etcd(keys, [middle.endpoint], patience=PATIENCE, etcd_cluster=known)
    with suppress(StoreUnavailable), pytest.raises(StoreFatal):
        await stranger.read(0)
    with pytest.raises(StoreFatal):
        await stranger.transact([], [("k", b"1")])
    assert middle.seen[TXN] == 0
    await stranger.close()
    careful = Etcd(keys, [middle.endpoint, etcds.endpoint("b")], patience=PATIENCE, etcd_cluster=known)
    assert (await careful.read(0)).changes == ()
    assert await careful.transact([], [("k", b"1")])
    await careful.close()


# ---------------------------------------------------------------- watching


async def test_a_watch_that_breaks_goes_on_elsewhere(etcds: Etcds, middle: Middleman) -> None:
    for fault in (Fault.CUT_LATER, Fault.HANG, Fault.SWALLOW):
        async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
            revision = (await etcd.read(0)).revision
            middle.faults[WATCH] = fault
            waking = asyncio.create_task(etcd.wake(revision))
            await etcd.transact([], [("k", b"1")])
            async with asyncio.timeout(PATIENCE.try_s + 0.5):
                await waking


async def test_one_watch_tells_of_change_after_change_also_behind_one_that_is_long(
    etcds: Etcds, middle: Middleman
) -> None:
    """A stream for each change cost a handshake each, and nothing was heard in between."""
    async with client([middle.endpoint]) as etcd:
        revision = (await etcd.read(0)).revision
        for size in (1, 300_000, 1, 1):
            waking = asyncio.create_task(etcd.wake(revision))
            done, _ = await asyncio.wait([waking], timeout=0.1)
            assert not done
            changed = await etcd.transact([], [("k", b"x" * size)])
            async with asyncio.timeout(2):
                await waking
                await etcd.wake(revision)
            assert changed is not None
            revision = changed
        assert middle.seen[WATCH] == 1


async def test_a_watch_that_breaks_after_it_told_of_changes_goes_on_elsewhere(etcds: Etcds, middle: Middleman) -> None:
    async with client([middle.endpoint, etcds.endpoint("b")]) as etcd:
        revision = (await etcd.read(0)).revision
        for fault in (None, Fault.CUT_LATER, Fault.CUT_LATER):
            waking = asyncio.create_task(etcd.wake(revision))
            changed = await etcd.transact([], [("k", b"1")])
            async with asyncio.timeout(PATIENCE.try_s + 0.5):
                await waking
            assert changed is not None
            revision = changed
            middle.faults |= {WATCH: fault} if fault else {}


async def test_a_silent_watch_returns_in_time(etcds: Etcds) -> None:
    async with client(etcds.endpoints, Patience(watch_s=0.3)) as etcd:
        started = time.monotonic()
        await etcd.wake((await etcd.read(0)).revision)
        assert 0.25 < time.monotonic() - started < 0.6


async def test_a_watch_from_a_compacted_revision_returns(etcds: Etcds) -> None:
    async with client(etcds.endpoints) as etcd:
        await etcd.transact([], [("k", b"1")])
        revision = await etcd.transact([], [("k", b"2")])
        etcds.post("a", "/v3/kv/compaction", {"revision": str(revision)})
        async with asyncio.timeout(1):
            await etcd.wake(1)
        assert (await etcd.read(1)).changes[0].value == b"2"


async def test_large_changes_wake_and_are_read(etcds: Etcds) -> None:
    async with client(etcds.endpoints) as etcd:
        revision = (await etcd.read(0)).revision
        many = [(f"{room}/{i}", b"x" * 300) for room in ("assignments", "events") for i in range(1_000)]
        assert await etcd.transact([], many)
        async with asyncio.timeout(1):
            await etcd.wake(revision)
        assert len((await etcd.read(revision)).changes) == 1_000
