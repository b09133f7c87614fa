"""Two data members and a witness, and every way to cut them apart."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from standfast.member.control_protocol import Drain, Freeze, Move, Thaw, Undrain
from standfast.model.events import EventKind
from standfast.model.timing import NS_PER_MS
from standfast.quorum.signals import Verdict
from tests.real.cuts.stage import Scene, Stage, hiccup_ms, staged, takeover_ms
from tests.real.running import QM, lasting, now_ns

FLAPPING_S = float(os.environ.get("STANDFAST_FLAPPING_S", "20"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from lasting(staged(tmp_path_factory.mktemp("three"), "ab", "w"))


async def taken_over(cluster: Stage, owner: str, epoch: int, cut_ns: int) -> None:
    """The owner stops in time, the other one runs it under a larger epoch."""
    await cluster.assert_gone_with_lease(owner, cut_ns)
    await cluster.lab.until_running(QM, on=cluster.other(owner), epoch=epoch + 1)


# ---------------------------------------------------------------- the owner


@pytest.mark.parametrize("clients", [False, True], ids=["clients still reach it", "nobody reaches it"])
async def test_the_owner_is_isolated(cluster: Stage, keep, clients: bool) -> None:
    owner, epoch = await cluster.placing()
    async with cluster.scene(keep) as scene:
        scene.isolate(owner, clients=clients)
        await taken_over(cluster, owner, epoch, scene.cut_ns)
    assert scene.measured.outage_ms <= takeover_ms(cluster)
    assert scene.measured.moves == 1


async def test_the_owner_is_cut_off_from_the_other_data_member(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    async with cluster.scene(keep) as scene, cluster.nothing_moves():
        scene.between([owner], [other])
        await cluster.until_silent(owner, other)
        # After the cuts of the tests before, its loss may be told as one of a link that comes and goes.
        kinds = (EventKind.LINK_LOST, EventKind.LINK_FLAPPING)
        assert owner in {line.subject for kind in kinds for line in await cluster.notices(other, kind)}
    assert scene.measured.outage_ms <= hiccup_ms(cluster)


async def test_the_owner_is_cut_off_from_the_witness(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    async with cluster.scene(keep) as scene, cluster.nothing_moves():
        scene.between([owner], cluster.witnesses)
        await cluster.until_silent(owner, *cluster.witnesses)
    assert scene.measured.outage_ms <= hiccup_ms(cluster)


async def test_the_owner_hears_and_is_not_heard(cluster: Stage, keep) -> None:
    owner, epoch = await cluster.placing()
    async with cluster.scene(keep) as scene:
        scene.mute(owner)
        await taken_over(cluster, owner, epoch, scene.cut_ns)
    assert scene.measured.outage_ms <= takeover_ms(cluster)
    assert scene.measured.moves == 1


async def test_the_owner_is_heard_and_does_not_hear(cluster: Stage, keep) -> None:
    """It is told to go, which it can not hear either: its grants lapse after that."""
    owner, epoch = await cluster.placing()
    async with cluster.scene(keep) as scene:
        scene.deafen(owner)
        await taken_over(cluster, owner, epoch, scene.cut_ns)
    doubt_ms = cluster.lab.cluster.timing.in_doubt_ns / NS_PER_MS
    assert scene.measured.outage_ms <= takeover_ms(cluster, doubt_ms)
    assert scene.measured.moves == 1


# ---------------------------------------------------------------- others


async def test_the_witness_is_isolated(cluster: Stage, keep) -> None:
    async with cluster.scene(keep) as scene:
        before = await cluster.placing()
        scene.isolate(cluster.witness)
        await cluster.until_silent(cluster.witness, *cluster.data)
        assert await cluster.placing() == before
    assert (scene.measured.moves, scene.measured.outage_ms <= hiccup_ms(cluster)) == (0, True)


async def test_all_three_are_cut_off_from_each_other(cluster: Stage, keep) -> None:
    """Nobody has a majority: everything stops, although clients reach everybody; and runs again afterwards."""
    owner = await cluster.owner()
    async with cluster.scene(keep) as scene:
        for name in cluster.lab.nodes:
            scene.isolate(name, clients=False)
        await cluster.assert_gone_with_lease(owner, scene.cut_ns)
        for name in cluster.lab.nodes:
            await cluster.until_silent(name, *cluster.others(name))
        assert all(cluster.lab.nodes[name].queue_manager_pid(QM) is None for name in cluster.data)
    assert scene.measured.moves <= 1


# ---------------------------------------------------------------- again and again


async def flap(scene: Scene, owner: str, cut_s: float, whole_s: float, for_s: float) -> None:
    until_s = asyncio.get_running_loop().time() + for_s
    while asyncio.get_running_loop().time() < until_s:
        scene.isolate(owner, clients=False)
        await asyncio.sleep(cut_s)
        scene.heal()
        await asyncio.sleep(whole_s)


async def test_the_owner_is_cut_off_every_second_and_moves_away_once(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    async with cluster.scene(keep) as scene:
        await flap(scene, owner, 1.0, 1.0, FLAPPING_S)
    assert scene.measured.moves == 1
    assert await cluster.owner() == cluster.other(owner)


async def test_cuts_that_are_shorter_than_a_lease_move_nothing(cluster: Stage, keep) -> None:
    before = await cluster.placing()
    async with cluster.scene(keep) as scene:
        await flap(scene, str(before[0]), 0.35, 0.65, FLAPPING_S / 2)
    assert await cluster.placing() == before
    assert scene.measured.outage_ms <= hiccup_ms(cluster)


async def test_a_link_between_data_members_that_comes_and_goes_moves_nothing(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    async with cluster.scene(keep) as scene, cluster.nothing_moves():
        until_ns = now_ns() + FLAPPING_S / 2 * 1e9
        while now_ns() < until_ns:
            scene.between([owner], [cluster.other(owner)])
            await asyncio.sleep(0.5)
            scene.heal()
            await asyncio.sleep(0.5)
    assert scene.measured.outage_ms <= hiccup_ms(cluster)


# ---------------------------------------------------------------- with orders


async def test_an_isolated_owner_of_a_frozen_cluster_is_not_replaced(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    async with cluster.scene(keep) as scene:
        assert await cluster.order(Freeze()) is Verdict.DONE
        scene.isolate(owner)
        await cluster.assert_gone_with_lease(owner, scene.cut_ns)
        await cluster.until_silent(owner, other, cluster.witness)
        assert cluster.lab.nodes[other].queue_manager_pid(QM) is None
        scene.heal()
        await cluster.lab.until_running(QM, on=owner)
        assert await cluster.order(Thaw()) is Verdict.DONE


async def test_what_can_run_nowhere_else_waits_for_its_owner(cluster: Stage, keep) -> None:
    owner = await cluster.owner()
    other = cluster.other(owner)
    async with cluster.scene(keep) as scene:
        assert await cluster.order(Drain(other)) is Verdict.DONE
        scene.isolate(owner)
        await cluster.assert_gone_with_lease(owner, scene.cut_ns)
        await cluster.until_silent(owner, other, cluster.witness)
        assert cluster.lab.nodes[other].queue_manager_pid(QM) is None
        scene.heal()
        await cluster.lab.until_running(QM, on=owner)
        assert await cluster.order(Undrain(other)) is Verdict.DONE


@pytest.mark.parametrize("order", ["move", "drain"])
async def test_a_hand_over_between_members_that_do_not_hear_each_other(cluster: Stage, keep, order: str) -> None:
    """Both reach the witness and the store; each knows of the other by the word of the witness."""
    owner = await cluster.owner()
    other = cluster.other(owner)
    async with cluster.scene(keep) as scene:
        scene.between([owner], [other])
        await cluster.until_silent(owner, other)
        if order == "move":
            assert await cluster.order(Move(QM, other), by=owner) is Verdict.DONE
        else:
            assert await cluster.order(Drain(owner), by=cluster.witness) is Verdict.DONE
        await cluster.lab.until_running(QM, on=other)
        if order == "drain":
            assert await cluster.order(Undrain(owner), by=cluster.witness) is Verdict.DONE
    assert scene.measured.moves == 1
    assert scene.measured.outage_ms <= cluster.lab.cluster.timing.term_ms
