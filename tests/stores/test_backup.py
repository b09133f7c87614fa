"""A backup is whole or refused; a restore is whole, or recognised as not yet; nothing of the past counts afterwards."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from msgspec import structs

from standfast.errors import Refused, StateError, StoreFatal, StoreOutcomeUnknown, StoreUnavailable
from standfast.member.journal import Journal
from standfast.member.scribe import Scribe
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, Guard, MemberState, Orders, Phase, Put, Transaction, assignment_key
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.quorum import transactions as tx
from standfast.quorum.rules import Rules
from standfast.storage.directory import Claim, claim
from standfast.storage.refusal import LaunchRefused
from standfast.stores import etcd as etcd_module
from standfast.stores.backup import VERSION, Backup, decode, encode
from standfast.stores.etcd import Etcd
from standfast.stores.ledger import Ledger
from standfast.stores.memory import MemoryStore
from standfast.stores.restoring import MARGIN, restore, undo
from tests.addresses import own
from tests.stores.etcds import Etcds

NOW = datetime(2026, 11, 22, 16, 40, tzinfo=UTC)
MEMBERS = tuple(
    MemberSpec(name=name, role=Role.WITNESS if name == "w" else Role.DATA, addresses=(f"{own(97)}.{number}",))
    for number, name in enumerate("abw", 10)
)
QMS = ("orders", "bills", "given-up")
SPECS = tuple(
    QueueManagerSpec(name=name, kind="nats", port=4222, storage=StorageSpec(path=f"/x/{name}")) for name in QMS
)
CLUSTER = Cluster(name="shop", id="c0ffee", members=MEMBERS, queue_managers=SPECS, timing=PROFILES["fast"])


@pytest.fixture(scope="module")
def etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """One member: what is proven here does not depend on their number."""
    alone = Etcds(tmp_path_factory.mktemp("etcds"), structs.replace(CLUSTER, members=MEMBERS[:1]))
    try:
        alone.start()
        yield alone
    finally:
        alone.stop()


@pytest.fixture
async def etcd(etcds: Etcds) -> AsyncIterator[Etcd]:
    client = Etcd(f"t-{uuid4().hex}", etcds.endpoints)
    yield client
    await client.close()


def rules_of(view: View) -> Rules:
    """A member goes by the settings of this view."""
    rules = Rules(CLUSTER)
    rules.adopt(CLUSTER, view.settings.revision if view.settings is not None else 0)
    return rules


def join(name: str, view: View) -> Transaction:
    return tx.join(name, CLUSTER.member(name).role, f"machine-{name}", view, rules_of(view), outwaited=False)


async def lived_in(store, *, orders: bool = True) -> View:
    """A cluster with a past: three members joined, one was evicted, a queue manager ran, one was given up."""
    ledger = Ledger(store, "w", lambda: NOW)
    view = View()

    async def do(transaction: Transaction | None) -> None:
        nonlocal view
        assert transaction is not None
        assert (await ledger.transact(transaction)).revision
        view = await ledger.read(view)

    await do(tx.found(CLUSTER, view))
    for member in MEMBERS:
        await do(join(member.name, view))
    await do(tx.assign(view.assignments["orders"], view.members["a"], "first_start", beside=()))
    await do(tx.begin(view.assignments["orders"], view.members["a"]))
    failed = structs.replace(view.assignments["given-up"].record, failed_on=("a", "b"))
    await do(
        Transaction(
            guards=(),
            puts=(Put(assignment_key("given-up"), failed),),
            events=tuple(Event(kind=EventKind.QM_FAILED, subject="given-up") for _ in range(2)),
        )
    )
    await do(tx.give_up(view.assignments["given-up"]))
    if orders:
        await do(tx.order(view, Orders(drained=("b",)), EventKind.MEMBER_DRAINED, "b"))
    await do(tx.member_state(view.members["b"], MemberState.IN_DOUBT, EventKind.MEMBER_IN_DOUBT, "silent"))
    return view


async def saved(store) -> Backup:
    return decode(encode("shop", await store.snapshot(), NOW))


@pytest.fixture
async def backup() -> Backup:
    store = MemoryStore()
    await lived_in(store)
    return await saved(store)


async def view_of(store) -> View:
    return await Ledger(store, "x").read(View())


async def history(store) -> list:
    return await Ledger(store, "x").history(0, 100_000)


# ---------------------------------------------------------------- the file


async def test_a_backup_holds_everything_and_can_be_read_by_a_person() -> None:
    store = MemoryStore()
    await lived_in(store)
    held = await store.snapshot()
    raw = encode("shop", held, NOW)
    lines = [json.loads(line) for line in raw.decode().splitlines()]
    assert (lines[0]["cluster"], lines[0]["cluster_id"], lines[0]["revision"]) == ("shop", "c0ffee", held.revision)
    assert [(c.key, c.revision, json.loads(c.value)) for c in held.changes] == [
        (line["key"], line["revision"], line["value"]) for line in lines[1:-1]
    ]
    found = decode(raw)
    assert (found.header.records, found.header.events) == (len(found.records), len(found.events)) == (11, 11)
    assert [bytes(line.value) for line in (*found.records, *found.events)] == [c.value for c in held.changes]


async def test_a_file_that_was_cut_or_changed_anywhere_is_refused() -> None:
    store = MemoryStore()
    await lived_in(store)
    raw = encode("shop", await store.snapshot(), NOW)
    for cut in [*range(0, len(raw) - 1, 37), len(raw) - 2]:
        with pytest.raises(StateError):
            decode(raw[:cut])
    for place in range(0, len(raw) - 1, 37):
        with pytest.raises(StateError):
            decode(raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :])


def refused(raw: bytes) -> bool:
    try:
        decode(raw)
    except StateError:
        return True
    return False


def sealed(lines: list[bytes]) -> bytes:
    body = b"".join(lines)
    return body + json.dumps({"sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n"


async def test_a_file_that_is_sound_but_wrong_is_refused() -> None:
    store = MemoryStore()
    await lived_in(store)
    lines = encode("shop", await store.snapshot(), NOW).splitlines(keepends=True)[:-1]
    header = json.loads(lines[0])

    def headed(**changes) -> list[bytes]:
        return [json.dumps(header | changes).encode() + b"\n", *lines[1:]]

    assert decode(sealed(headed()))
    settings = next(number for number, line in enumerate(lines) if b'"settings"' in line)
    wrong = {
        "newer": headed(version=VERSION + 1),
        "other format": headed(format="other"),
        "count": headed(events=header["events"] + 1),
        "mixed": headed(records=header["records"] + 1, events=header["events"] - 1),
        "other id": headed(cluster_id="other"),
        "twice": [*lines[:-1], lines[-2]],
        "no settings": [*headed(records=header["records"] - 1)[:settings], *lines[settings + 1 :]],
        "no record": [lines[0], lines[1].replace(b'"qm"', b'"qx"'), *lines[2:]],
    }
    for name, made in wrong.items():
        assert refused(sealed(made)), name


async def test_what_could_not_be_restored_is_not_saved(backup: Backup) -> None:
    with pytest.raises(StoreFatal):
        encode("shop", await MemoryStore().snapshot(), NOW)
    half = Broken(fails_at=2)
    with pytest.raises(StoreUnavailable):
        await restore(half, backup, CLUSTER, "w")
    with pytest.raises(StoreFatal):
        encode("shop", await half.snapshot(), NOW)


async def test_a_snapshot_is_of_one_revision_while_others_write(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_module, "SNAPSHOT_PAGE", 3)
    writing = True

    async def write() -> None:
        number = 0
        while writing:
            number += 1
            pair = [(key, b"%d" % number) for key in ("assignments/a", "specs/z", "events/0", "events/9")]
            await etcd.transact([], [*pair, (f"events/5{number:06}", b"")])

    writer = asyncio.create_task(write())
    for _ in range(20):
        held = await etcd.snapshot()
        pairs = {c.value for c in held.changes if not c.key.startswith("events/5")}
        assert len(pairs) <= 1
        assert max((c.revision for c in held.changes), default=0) <= held.revision
        assert [c.key for c in held.changes if c.key.startswith("events/5")] == sorted(
            c.key for c in held.changes if c.key.startswith("events/5")
        )
    writing = False
    await writer
    assert len(held.changes) > 3


# ---------------------------------------------------------------- what is restored


@pytest.mark.parametrize("kind", ["memory", "etcd"])
async def test_a_restored_cluster_has_its_past_but_nobody_in_it(kind: str, etcd: Etcd) -> None:
    old = MemoryStore()
    before = await lived_in(old)
    backup = await saved(old)
    store = etcd if kind == "etcd" else MemoryStore()
    await restore(store, backup, structs.replace(CLUSTER, timing=PROFILES["normal"]), "a")

    after = await view_of(store)
    assert after.members.keys() == before.members.keys()
    for name, kept in after.members.items():
        was = before.members[name].record
        wanted = structs.replace(
            was, state=MemberState.LEFT, incarnation=was.incarnation + MARGIN, reason=kept.record.reason
        )
        assert kept.record == wanted
    for name, kept in after.assignments.items():
        was = before.assignments[name].record
        assert (kept.record.owner, kept.record.incarnation, kept.record.target) == (None, 0, None)
        assert kept.record.epoch == was.epoch + MARGIN
        assert kept.record.failed_on == was.failed_on
        assert kept.record.phase is (Phase.GIVEN_UP if name == "given-up" else Phase.UNPLACED)
    assert {name: kept.record for name, kept in after.specs.items()} == {spec.name: spec for spec in SPECS}
    assert after.orders.record == Orders(drained=("b",))
    assert after.settings is not None
    assert before.settings is not None
    longer_ms = PROFILES["normal"].term_ms
    assert after.settings.record == structs.replace(before.settings.record, term_ceiling_ms=longer_ms)

    told, known = await history(store), await history(old)
    assert [(event.id, event.order) for event in told[:-1]] == [(event.id, event.order) for event in known]
    assert (told[-1].kind, told[-1].member) == (EventKind.STORE_RESTORED, "a")


async def test_many_keys_are_restored_within_the_limits_of_etcd_and_in_order(etcd: Etcd) -> None:
    old = MemoryStore()
    await lived_in(old)
    for number in range(150):
        large = QueueManagerSpec(
            name=f"q{number}", kind="nats", port=1, storage=StorageSpec(path="/x"), options={"x": "y" * 9_000}
        )
        puts = (
            Put(f"specs/q{number}", large),
            Put(f"assignments/q{number}", Assignment(qm=f"q{number}")),
        )
        teller = Ledger(old, "wab"[number % 3], lambda: NOW)
        await teller.transact(
            Transaction(guards=(), puts=puts, events=(Event(kind=EventKind.QM_ASSIGNED, subject=f"q{number}"),))
        )
    done = await restore(etcd, await saved(old), CLUSTER, "w")
    assert done.written == done.records + done.events
    assert [(e.id, e.order) for e in (await history(etcd))[:-1]] == [(e.id, e.order) for e in await history(old)]
    assert len((await view_of(etcd)).specs) == 153


async def test_members_join_anew_and_queue_managers_are_placed_under_epochs_never_used(
    backup: Backup, tmp_path: Path
) -> None:
    """Also when the epoch on the storage has grown since the backup was made."""
    store = MemoryStore()
    await restore(store, backup, CLUSTER, "w")
    ledger, view = Ledger(store, "w"), await view_of(store)
    await ledger.transact(join("a", view))
    view = await ledger.read(view)
    await ledger.transact(tx.assign(view.assignments["orders"], view.members["a"], "restored", beside=()))
    now = (await ledger.read(view)).assignments["orders"].record

    def launch(epoch: int, incarnation: int) -> None:
        claim(Claim(str(tmp_path), False, "c0ffee", "orders", epoch, "a", incarnation, (), 0))

    grown = 17
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("standfast.storage.directory._lock", lambda *_: None)
        launch(1 + grown, 3)
        launch(now.epoch, now.incarnation)
        with pytest.raises(LaunchRefused):
            launch(1 + grown, 3)
    assert now.incarnation > MARGIN


# ---------------------------------------------------------------- where it may not be restored


async def test_only_an_empty_store_is_restored(backup: Backup) -> None:
    for leftover in ("settings", "members/a", "events/x"):
        store = MemoryStore()
        value = next((bytes(line.value) for line in backup.records if line.key == leftover), b"{}")
        await store.transact([], [(leftover, value)])
        with pytest.raises(Refused):
            await restore(store, backup, CLUSTER, "w")
        with pytest.raises(Refused):
            await undo(store)
        assert [change.key for change in (await store.snapshot()).changes] == [leftover]


async def test_another_cluster_is_not_restored(backup: Backup) -> None:
    for other in (structs.replace(CLUSTER, id="other"), structs.replace(CLUSTER, name="other")):
        store = MemoryStore()
        with pytest.raises(StateError):
            await restore(store, backup, other, "w")
        assert not (await store.snapshot()).changes


async def test_a_finished_restore_is_neither_repeated_nor_taken_back(backup: Backup) -> None:
    store = MemoryStore()
    await restore(store, backup, CLUSTER, "w")
    whole = await store.snapshot()
    with pytest.raises(Refused):
        await restore(store, backup, CLUSTER, "w")
    with pytest.raises(Refused):
        await undo(store)
    assert await store.snapshot() == whole


# ---------------------------------------------------------------- interrupted


class Broken(MemoryStore):
    """Its `fails_at`-th transaction fails: not carried out, carried out without an answer, or only later."""

    def __init__(self, fails_at: int, how: str = "lost") -> None:
        super().__init__()
        self._left = fails_at
        self._how = how
        self.late: list[tuple] = []

    async def transact(self, guards, puts):
        self._left -= 1
        if self._left:
            return await super().transact(guards, puts)
        if self._how == "answer lost":
            await super().transact(guards, puts)
        if self._how == "late":
            self.late.append((guards, puts))
        raise StoreUnavailable("stand-in") if self._how == "lost" else StoreOutcomeUnknown("stand-in")

    def break_again(self, fails_at: int) -> None:
        self._left, self._how = fails_at, "lost"

    async def carry_out_late(self) -> int | None:
        return await super().transact(*self.late.pop())


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standfast.stores.restoring.BATCH_KEYS", 2)


def content(view: View) -> list:
    return sorted((key, msgspec.json.encode(record)) for key, record, _ in view.records())


@pytest.mark.parametrize("how", ["lost", "answer lost", "late"])
@pytest.mark.usefixtures("small_batches")
async def test_wherever_it_is_interrupted_it_is_refused_by_members_and_completed_by_a_second_run(
    how: str, backup: Backup
) -> None:
    whole = MemoryStore()
    await restore(whole, backup, CLUSTER, "w")
    steps = 0
    while True:
        steps += 1
        store = Broken(fails_at=steps, how=how)
        try:
            await restore(store, backup, CLUSTER, "w")
        except (StoreUnavailable, StoreOutcomeUnknown):
            pass
        else:
            break
        finished = bool(await history(store)) and (await history(store))[-1].kind == EventKind.STORE_RESTORED
        if (await store.snapshot()).changes and not finished:
            assert await refused_by_a_member(store)
        if not finished:
            await restore(store, backup, CLUSTER, "w")
        if store.late:
            assert await store.carry_out_late() is None
        assert not await refused_by_a_member(store)
        assert content(await view_of(store)) == content(await view_of(whole))
        assert [e.id for e in (await history(store))[:-1]] == [line.key[7:] for line in backup.events]
    assert steps > 8


@pytest.mark.usefixtures("small_batches")
async def test_an_unfinished_restore_can_be_taken_back_and_begun_again(backup: Backup) -> None:
    store = Broken(fails_at=4)
    with pytest.raises(StoreUnavailable):
        await restore(store, backup, CLUSTER, "w")
    assert await undo(store)
    assert not (await store.snapshot()).changes
    assert not await undo(store)
    assert await restore(store, backup, CLUSTER, "w")


@pytest.mark.usefixtures("small_batches")
async def test_what_etcd_carries_out_late_changes_nothing(backup: Backup) -> None:
    """Neither after the restore was taken back, nor while a second run has not finished."""
    store = Broken(fails_at=4, how="late")
    with pytest.raises(StoreOutcomeUnknown):
        await restore(store, backup, CLUSTER, "w")
    assert await undo(store)
    assert await store.carry_out_late() is None
    assert not (await store.snapshot()).changes

    store = Broken(fails_at=4, how="late")
    with pytest.raises(StoreOutcomeUnknown):
        await restore(store, backup, CLUSTER, "w")
    store.break_again(fails_at=3)
    with pytest.raises(StoreUnavailable):
        await restore(store, backup, CLUSTER, "w")
    assert await store.carry_out_late() is None


async def test_what_was_finished_at_the_same_moment_is_not_taken_back(backup: Backup) -> None:
    class Finished(Broken):
        async def erase(self, guard: Guard) -> bool:
            return False

    store = Finished(fails_at=3)
    with pytest.raises(StoreUnavailable):
        await restore(store, backup, CLUSTER, "w")
    with pytest.raises(Refused):
        await undo(store)


@pytest.mark.usefixtures("small_batches")
async def test_taking_back_is_one_transaction_of_etcd_that_knows_the_marker(etcd: Etcd, backup: Backup) -> None:
    await etcd.transact([], [("settings", b"1"), ("members/a", b"1"), ("events/x", b"1")])
    assert not await etcd.erase(Guard("settings", 7_000_000))
    assert len((await etcd.snapshot()).changes) == 3
    marked = (await etcd.snapshot()).changes[0].revision
    assert await etcd.erase(Guard("settings", marked))
    assert not (await etcd.snapshot()).changes


@pytest.mark.usefixtures("small_batches")
async def test_an_unfinished_restore_is_not_mixed_with_anything_else(backup: Backup) -> None:
    other = MemoryStore()
    await lived_in(other)
    await Ledger(other, "w").transact(
        tx.order(await view_of(other), Orders(frozen=True), EventKind.CLUSTER_FROZEN, "shop")
    )
    store = Broken(fails_at=4)
    with pytest.raises(StoreUnavailable):
        await restore(store, backup, CLUSTER, "w")
    with pytest.raises(Refused):
        await restore(store, await saved(other), CLUSTER, "w")
    await store.transact([], [("events/stranger", b"{}")])
    with pytest.raises(Refused):
        await restore(store, backup, CLUSTER, "w")
    assert await undo(store)


@pytest.mark.usefixtures("small_batches")
async def test_a_member_that_saw_the_empty_store_can_write_nothing_into_a_restore() -> None:
    """Also when there were no orders, so that none have to be restored."""
    old = MemoryStore()
    await lived_in(old, orders=False)
    backup = await saved(old)
    store = Broken(fails_at=2)
    with pytest.raises(StoreUnavailable):
        await restore(store, backup, CLUSTER, "w")
    empty, ledger = View(), Ledger(store, "b")
    founding = tx.found(CLUSTER, empty)
    assert founding is not None
    for transaction in (
        founding,
        join("b", empty),
        tx.order(empty, Orders(frozen=True), EventKind.CLUSTER_FROZEN, "shop"),
    ):
        assert not (await ledger.transact(transaction)).revision


class Ears:
    """Stands in for the daemon's inbox."""

    def __init__(self) -> None:
        self.heard: asyncio.Future = asyncio.get_running_loop().create_future()

    def give(self, given) -> None:
        self.heard.set_result(None)

    def fail(self, error) -> None:
        self.heard.set_result(error)


async def refused_by_a_member(store) -> bool:
    ears = Ears()
    ledger, journal = Ledger(store, "a"), Journal("a")
    scribe = Scribe(CLUSTER.id, ledger, store, journal, view=View, inbox=ears)
    scribe.read()
    async with asyncio.timeout(5):
        error = await ears.heard
    await scribe.close()
    assert error is None or isinstance(error, StoreFatal)
    return error is not None
