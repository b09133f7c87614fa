"""Three data members and two witnesses: cuts that leave some members with a majority and others without."""

import asyncio
from collections.abc import Iterator

import pytest

from standfast.model.records import MemberState
from standfast.model.timing import NS_PER_MS, lapse_ns
from tests.real.cuts.stage import Stage, hiccup_ms, staged, takeover_ms
from tests.real.running import QM, lasting, now_ns


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from lasting(staged(tmp_path_factory.mktemp("five"), "abc", ["v", "w"]))


async def taken_over(cluster: Stage, owner: str, epoch: int, cut_ns: int) -> str:
    """The owner stops in time, another one runs it under a larger epoch; which."""
    await cluster.assert_gone_with_lease(owner, cut_ns)
    found = await cluster.lab.until_running(QM, epoch=epoch + 1)
    assert found.owner is not None
    assert found.owner != owner
    return found.owner


@pytest.mark.parametrize("witness", [0, 1], ids=["the first witness", "the second witness"])
async def test_the_owner_and_a_witness_are_the_smaller_side(cluster: Stage, keep, witness: int) -> None:
    owner, epoch = await cluster.placing()
    side = [owner, cluster.witnesses[witness]]
    async with cluster.scene(keep) as scene:
        scene.between(side, cluster.others(*side))
        await taken_over(cluster, owner, epoch, scene.cut_ns)
    assert scene.measured.outage_ms <= takeover_ms(cluster)
    assert scene.measured.moves == 1


async def test_the_owner_and_another_data_member_are_the_smaller_side(cluster: Stage, keep) -> None:
    owner, epoch = await cluster.placing()
    side = [owner, next(name for name in cluster.data if name != owner)]
    async with cluster.scene(keep) as scene:
        scene.between(side, cluster.others(*side))
        assert await taken_over(cluster, owner, epoch, scene.cut_ns) not in side
    assert scene.measured.outage_ms <= takeover_ms(cluster)
    assert scene.measured.moves == 1


async def test_the_owner_is_cut_off_from_all_but_the_witnesses(cluster: Stage, keep) -> None:
    """Itself and two witnesses are a majority."""
    owner = await cluster.owner()
    rest = [name for name in cluster.data if name != owner]
    async with cluster.scene(keep) as scene, cluster.nothing_moves():
        scene.between([owner], rest)
        await cluster.until_silent(owner, *rest)
    assert scene.measured.outage_ms <= hiccup_ms(cluster)


@pytest.mark.parametrize("witness", [0, 1], ids=["the first witness", "the second witness"])
async def test_the_owner_is_left_with_a_witness_that_everybody_hears(cluster: Stage, keep, witness: int) -> None:
    owner, epoch = await cluster.placing()
    between = cluster.witnesses[witness]
    async with cluster.scene(keep) as scene:
        scene.between([owner], cluster.others(owner, between))
        await taken_over(cluster, owner, epoch, scene.cut_ns)
    assert scene.measured.outage_ms <= takeover_ms(cluster)
    assert scene.measured.moves == 1


async def test_both_witnesses_are_isolated(cluster: Stage, keep) -> None:
    """The data members are a majority; the store had its leader on a witness."""
    before = await cluster.placing()
    async with cluster.scene(keep) as scene:
        for name in cluster.witnesses:
            scene.isolate(name)
        for name in cluster.witnesses:
            await cluster.until_silent(name, *cluster.data)
        assert await cluster.placing() == before
    assert scene.measured.outage_ms <= hiccup_ms(cluster)


async def test_a_witness_is_gone_and_the_owner_is_left_with_one_data_member(cluster: Stage, keep) -> None:
    """Too few are left to evict it while one of them still grants: it is told to go."""
    owner, epoch = await cluster.placing()
    gone = cluster.witnesses[1]
    left = next(name for name in cluster.data if name != owner)
    async with cluster.scene(keep) as scene:
        scene.isolate(gone)
        await cluster.lab.until(
            lambda report: any(m.name == gone and m.state is MemberState.EVICTED for m in report.members),
            seen_by=cluster.data,
        )
        assert await cluster.placing() == (owner, epoch)
        at_ns = now_ns()
        scene.between([owner], cluster.others(owner, left))
        await taken_over(cluster, owner, epoch, at_ns)
    lapse_ms = lapse_ns(cluster.term_ns) / NS_PER_MS
    doubt_ms = cluster.lab.cluster.timing.in_doubt_ns / NS_PER_MS
    assert scene.measured.outage_ms <= takeover_ms(cluster, lapse_ms + 2 * doubt_ms)
    assert scene.measured.moves == 1


async def test_the_majority_is_lost_and_comes_back_one_by_one(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    cut = cluster.others(owner)[:3]
    async with cluster.scene(keep) as scene:
        for name in cut:
            scene.isolate(name)
        await cluster.assert_gone_with_lease(owner, scene.cut_ns)
        for name in cut:
            await cluster.until_silent(name, owner)
        assert all(cluster.lab.nodes[name].queue_manager_pid(QM) is None for name in cluster.data)
        for name in cut:
            scene.heal(cluster.network.around(name))
            await asyncio.sleep(cluster.term_ns / 1e9)
    assert scene.measured.moves <= 1
