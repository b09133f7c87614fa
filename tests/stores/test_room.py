"""A full store: what it says, that it can still be read, and how it comes by room again. A look changes nothing."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import structs

from standfast.errors import StoreFull
from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.events import Event, EventKind
from standfast.model.records import Orders, Outcome, Put, Transaction
from standfast.model.view import View
from standfast.stores import health as health_module
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.etcd_settings import EtcdTuning
from standfast.stores.health import (
    GRAVE,
    Disk,
    EndpointHealth,
    StoreHealth,
    Symptom,
    ask_each,
    examine,
    histogram,
    judge,
    raised,
)
from standfast.stores.leadership import seat
from standfast.stores.ledger import Ledger
from standfast.stores.room import make_room
from tests.addresses import own
from tests.stores.etcds import Etcds

QUOTA = 2 * 1024 * 1024
SETTLE_S = 30.0
BIG = 64 * 1024
MEMBERS = tuple(
    MemberSpec(name=name, role=Role.WITNESS if name == "w" else Role.DATA, addresses=(f"{own(92)}.{number}",))
    for number, name in enumerate("abw", 20)
)
CLUSTER = Cluster(name="full", id="full", members=MEMBERS)
FROZEN = Transaction(
    guards=(),
    puts=(Put("orders", Orders(frozen=True)),),
    events=(Event(kind=EventKind.CLUSTER_FROZEN, subject="full"),),
)


@pytest.fixture(scope="module")
def etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    members = Etcds(tmp_path_factory.mktemp("etcds"), CLUSTER, tuning=EtcdTuning(quota_bytes=QUOTA))
    try:
        members.start()
        yield members
    finally:
        members.stop()


@pytest.fixture
async def etcd(etcds: Etcds) -> AsyncIterator[Etcd]:
    client = Etcd("full", etcds.endpoints)
    yield client
    await client.close()


@pytest.fixture
async def gateway(etcds: Etcds) -> AsyncIterator[Gateway]:
    found = Gateway(etcds.endpoints, patience=Patience())
    yield found
    await found.close()


def quiet(_: str) -> None:
    """Progress that nobody wants to hear."""


async def fill(etcd: Etcd, keys: int) -> None:
    """Write until the quota is used up."""
    for number in range(4 * QUOTA // BIG):
        await etcd.transact([], [(f"events/{number % keys}", secrets.token_bytes(BIG))])


async def until_alarm(gateway: Gateway) -> None:
    async with asyncio.timeout(5):
        while "NOSPACE" not in (await raised(gateway) or ()):  # noqa: ASYNC110 - etcd tells nobody
            await asyncio.sleep(0.02)


async def test_a_full_store_is_read_and_refuses_writes_until_room_is_made(etcd: Etcd, gateway: Gateway) -> None:
    ledger = Ledger(etcd, "a")
    assert (await ledger.transact(FROZEN)).outcome is Outcome.COMMITTED
    assert not (await seat(gateway, 1.0)).full
    with pytest.raises(StoreFull):
        await fill(etcd, keys=3)
    await until_alarm(gateway)
    with pytest.raises(StoreFull):
        await ledger.transact(FROZEN)
    assert (await ledger.read(View())).orders.record.frozen
    assert (await seat(gateway, 1.0)).full
    health = await examine(gateway, etcd)
    assert judge(health)[0].symptom is Symptom.FULL
    assert health.read_ms is not None
    assert {one.quota_bytes for one in health.endpoints} == {QUOTA}

    room = await make_room(gateway, etcd, 0, quiet)
    assert room.disarmed
    assert all(one.after_bytes < one.before_bytes / 2 for one in room.endpoints)
    assert not await raised(gateway)
    assert not (await seat(gateway, 1.0)).full
    assert (await ledger.transact(FROZEN)).outcome is Outcome.COMMITTED
    assert not (await make_room(gateway, etcd, 0, quiet)).disarmed
    assert not (await make_room(gateway, etcd, 0, quiet)).disarmed  # nothing was written since: compacted already


async def test_the_alarm_stays_while_what_is_kept_fills_the_store_and_events_can_be_given_up(
    etcd: Etcd, gateway: Gateway
) -> None:
    for _ in range(3):  # the first times some of the file is old pages, which can be had back
        with pytest.raises(StoreFull):
            await fill(etcd, keys=1000)
        await until_alarm(gateway)
        with suppress(StoreFull):
            await make_room(gateway, etcd, 0, quiet)
    with pytest.raises(StoreFull):
        await make_room(gateway, etcd, 0, quiet)
    assert await raised(gateway) == ("NOSPACE",)
    await Ledger(etcd, "a").trim(keep=2)
    assert (await make_room(gateway, etcd, 0, quiet)).disarmed
    assert (await Ledger(etcd, "a").transact(FROZEN)).outcome is Outcome.COMMITTED


async def test_a_write_that_was_carried_out_and_answered_with_full_is_found() -> None:
    """As etcd's quota applier does with the last write that fits."""
    from standfast.stores.memory import MemoryStore

    class Last(MemoryStore):
        carries_out = True

        async def transact(self, guards, puts):
            if self.carries_out:
                await super().transact(guards, puts)
            raise StoreFull("stand-in")

    store = Last()
    assert (await Ledger(store, "a").transact(FROZEN)).outcome is Outcome.COMMITTED
    store.carries_out = False
    with pytest.raises(StoreFull):
        await Ledger(store, "a").transact(FROZEN)


async def test_a_look_writes_nothing_and_measures_real_writes(etcds: Etcds, etcd: Etcd, gateway: Gateway) -> None:
    before = await etcd.snapshot()
    synced = [one.fsync.count for one in await ask_each(gateway) if one.fsync]
    health = await examine(gateway, etcd)
    assert await etcd.snapshot() == before
    assert len(health.commit_ms) == health_module.SAMPLES
    assert not {finding.symptom for finding in judge(health)} & GRAVE
    assert [one.member for one in health.endpoints] == etcds.names
    assert sum(one.leads for one in health.endpoints) == 1
    after = [one.fsync.count for one in await ask_each(gateway) if one.fsync]
    assert sum(now - then >= health_module.SAMPLES for now, then in zip(after, synced, strict=True)) >= 2


async def test_dead_members_are_named_and_the_lack_of_a_majority_is_told(
    etcds: Etcds, etcd: Etcd, gateway: Gateway
) -> None:
    etcds.kill("b")
    found = {(one.symptom, one.subject) for one in judge(await examine(gateway, etcd))}
    assert (Symptom.SILENT, etcds.endpoint("b")) in found
    assert not {symptom for symptom, _ in found} & GRAVE
    etcds.kill("w")
    found = judge(await examine(gateway, etcd))
    assert found[0].symptom is Symptom.NO_MAJORITY
    etcds.start("b", "w")


# ---------------------------------------------------------------- judging

WELL = EndpointHealth(endpoint="http://a", member="a", version="3.6.11", leader=7, leads=True, term=2, digest="this")
DISK = Disk(count=100, mean_ms=1.0, p99_ms=2.0)
FINE = StoreHealth(endpoints=(WELL,) * 3, alarms=(), read_ms=1.0, commit_ms=(2.0,) * 5)
ILL: dict[Symptom, StoreHealth] = {
    Symptom.CORRUPT: structs.replace(FINE, alarms=("CORRUPT",)),
    Symptom.NO_MAJORITY: structs.replace(FINE, alarms=None, read_ms=None, commit_ms=()),
    Symptom.FULL: structs.replace(FINE, alarms=("NOSPACE",)),
    Symptom.NO_WRITES: structs.replace(FINE, commit_ms=(), trouble="why"),
    Symptom.DIVERGED: structs.replace(FINE, endpoints=(WELL, WELL, structs.replace(WELL, digest="other"))),
    Symptom.SLOW_COMMIT: structs.replace(FINE, commit_ms=(1.0, 300.0, 300.0)),
}
ILL_ENDPOINT: dict[Symptom, EndpointHealth] = {
    Symptom.FULL: structs.replace(WELL, db_bytes=100, quota_bytes=100),
    Symptom.NEARLY_FULL: structs.replace(WELL, db_bytes=80, quota_bytes=100),
    Symptom.SILENT: structs.replace(WELL, silent="why"),
    Symptom.NO_LEADER: structs.replace(WELL, leader=0),
    Symptom.SLOW_DISK: structs.replace(WELL, fsync=structs.replace(DISK, p99_ms=16.0)),
    Symptom.SPARSE: structs.replace(WELL, db_bytes=1 << 30, used_bytes=1 << 20),
    Symptom.VERSIONS_DIFFER: structs.replace(WELL, version="3.6.12"),
    Symptom.FAULTY_VERSION: structs.replace(WELL, version="3.6.1"),
    Symptom.UNUSABLE_VERSION: structs.replace(WELL, version="3.3.9"),
}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert judge(FINE) == []


@pytest.mark.parametrize(
    ("symptom", "health"),
    [*ILL.items(), *((s, structs.replace(FINE, endpoints=(WELL, one, WELL))) for s, one in ILL_ENDPOINT.items())],
)
def test_each_symptom_is_found(symptom: Symptom, health: StoreHealth) -> None:
    assert symptom in {finding.symptom for finding in judge(health)}


def test_no_symptom_is_without_a_case() -> None:
    assert {*ILL, *ILL_ENDPOINT} == set(Symptom)


def test_the_gravest_comes_first() -> None:
    ill = structs.replace(
        FINE, alarms=("NOSPACE", "CORRUPT"), endpoints=(ILL_ENDPOINT[Symptom.SILENT], ILL_ENDPOINT[Symptom.NEARLY_FULL])
    )
    found = [finding.symptom for finding in judge(ill)]
    assert found == sorted(found, key=list(Symptom).index)
    assert found[0] is Symptom.CORRUPT


def test_a_histogram_is_read_as_prometheus_writes_it() -> None:
    text = (
        'x_seconds_bucket{le="0.001"} 90\nx_seconds_bucket{le="0.002"} 99\nx_seconds_bucket{le="+Inf"} 1e+02\n'
        "x_seconds_sum 0.5\nx_seconds_count 100\n"
    )
    assert histogram(text, "x_seconds") == Disk(count=100, mean_ms=5.0, p99_ms=2.0)
    assert histogram(text, "y_seconds") is None
    assert histogram("", "x_seconds") is None


# ---------------------------------------------------------------- the commands


def test_check_and_make_room_as_an_operator_runs_them(etcds: Etcds, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from standfast.cli.main import main
    from standfast.clusterfile import template

    text = template("full", "0123456789abcdef", MEMBERS)
    text = text.replace("#endpoints = []", f"endpoints = {json.dumps(etcds.endpoints)}")
    (tmp_path / "cluster.toml").write_text(text)
    (tmp_path / "trust" / "a").mkdir(parents=True)

    def run(*words: str):
        return CliRunner().invoke(main, ["store", *words, "--file", str(tmp_path / "cluster.toml")])

    def settled(*words: str):
        """On a busy machine an election may be under way, and `check` says so: ask again."""
        until = time.monotonic() + SETTLE_S
        while (result := run("check", *words)).exit_code and time.monotonic() < until:
            pass
        return result

    checked = settled("--json")
    assert checked.exit_code == 0, checked.output
    assert len(json.loads(checked.stdout)["health"]["endpoints"]) == 3
    assert settled().exit_code == 0

    etcds.post("a", "/v3/maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE"})
    full = run("check", "--json")
    assert full.exit_code == StoreFull.exit_code
    assert json.loads(full.stdout)["findings"][0]["symptom"] == Symptom.FULL
    assert json.loads(run("make-room", "--json").stdout)["disarmed"] is True
    assert settled().exit_code == 0
