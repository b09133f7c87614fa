"""A store rebuilt from one survivor: who joins it afterwards has what the survivor has, under the same revisions.

And where members' data differ all the same, a look at the store finds it.
"""

import time
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import structs

from standfast.model.records import MemberState
from standfast.model.timing import PROFILES
from standfast.model.view import View
from standfast.ports import KeyChange
from standfast.quorum import transactions as tx
from standfast.quorum.rules import Rules
from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Gateway, Patience
from standfast.stores.health import Symptom, examine, judge
from standfast.stores.ledger import Ledger
from standfast.stores.recovery import Recovery
from tests.stores.etcds import Etcds, cluster_of, octets
from tests.stores.test_readmission import PATIENT, running, server_of, until

CLUSTER = structs.replace(cluster_of(octets() + 42), timing=PROFILES["lan"])
SURVIVOR, LOST = "b", ("a", "w")


async def founded(ledger: Ledger) -> View:
    """All have joined; the last that was written is about the survivor."""
    view = View()

    async def do(transaction) -> None:
        nonlocal view
        assert (await ledger.transact(transaction)).revision
        view = await ledger.read(view)

    await do(tx.found(CLUSTER, view))
    for member in CLUSTER.members:
        rules = Rules(CLUSTER)
        rules.adopt(CLUSTER, view.settings.revision)
        await do(tx.join(member.name, member.role, f"machine-{member.name}", view, rules, outwaited=False))
    return view


async def held_by(etcds: Etcds, name: str) -> set[KeyChange]:
    """All that a member's own etcd has, with revisions."""
    client = Etcd(CLUSTER.name, [etcds.endpoint(name)], patience=PATIENT)
    try:
        return set((await client.read(0)).changes)
    finally:
        await client.close()


async def test_what_only_the_survivors_database_knew_is_known_to_all_who_join(tmp_path: Path) -> None:
    """Found in CI. etcd notes that an entry is committed with the next one that it syncs, but writes the entry's effect
    into its database a tenth of a second later. Killed then, it throws the entry away when it is made to begin alone,
    and keeps its effect: who reads its log from the beginning has all later changes under other revisions."""
    etcds = Etcds(tmp_path, CLUSTER)
    state = tmp_path / "state"
    state.mkdir()
    client = Etcd(CLUSTER.name, etcds.endpoints, patience=PATIENT)
    try:
        etcds.start()
        view = await founded(Ledger(client, "b"))
        written_ns = time.time_ns()
        await until(lambda: (tmp_path / SURVIVOR / "member/snap/db").stat().st_mtime_ns > written_ns)
    finally:
        await client.close()
        etcds.stop()
    (tmp_path / SURVIVOR).rename(state / "etcd")
    assert view.members[SURVIVOR].record.state is MemberState.ONLINE

    told: list[str] = []
    recovered = await Recovery(CLUSTER, SURVIVOR, state, tls=None, tell=told.append).run("now")
    assert set(recovered.given_up) == set(LOST)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(server_of(etcds, SURVIVOR, state)))
        alone = await held_by(etcds, SURVIVOR)
        for name in LOST:
            (disk := tmp_path / f"new-{name}").mkdir()
            await stack.enter_async_context(running(server_of(etcds, name, disk)))
        for name in LOST:
            assert await held_by(etcds, name) == alone


async def test_a_member_whose_data_differ_is_found_though_it_can_serve(tmp_path: Path) -> None:
    """Two etcds that know nothing of each other stand in for one whose members' data have come to differ."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    alone = [Etcds(folder, cluster_of(octets() + 46 + at, 1)) for at, folder in enumerate(folders)]
    stores = [Etcd("t", one.endpoints) for one in alone]
    both = Gateway([one.endpoint("a") for one in alone], patience=Patience())
    try:
        for one, store, key in zip(alone, stores, ("x", "y"), strict=True):
            one.start()
            await store.transact([], [(key, b"1")])
        assert Symptom.DIVERGED in {finding.symptom for finding in judge(await examine(both, stores[0]))}
    finally:
        for opened in (*stores, both):
            await opened.close()
        for one in alone:
            one.stop()
