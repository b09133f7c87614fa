"""A bad network between the members, with the timing `normal`: what it costs, and that it never costs more.

Made bad is what members and clients send each other; the way to the storage stays as it is.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.vm import figures
from tests.vm.cluster import NAMES, Cluster, on_nfs
from tests.vm.machines import Lab
from tests.vm.waiting import until

HARMLESS = ("loss 5%", "loss 10%", "delay 50ms 10ms", "delay 200ms 20ms")
"""Costs a member with the timing `normal` nothing: docs/timing.md."""
HARMFUL = "loss 30%"
"""Every few minutes an owner is without an answer for as long as it waits before it stops."""
WORST = "delay 50ms 10ms loss 5%"
"""With 200 ms each way no owner can change: etcd elects nobody, and no new connection to it is made in time."""
LOOK_S = 15.0


@pytest.fixture(scope="module")
def whole(booted: Lab) -> Iterator[Cluster]:
    """The tests follow each other on one cluster; the last one leaves a member dead."""
    yield from on_nfs(booted)


@pytest.fixture
def cluster(whole: Cluster) -> Iterator[Cluster]:
    """All three members are well, and so is the network."""
    until("every member is well", lambda: all(whole.member(name, by=name).get("leased") for name in NAMES))
    yield whole
    for machine in whole.lab.machines:
        if machine.up:
            machine.calm()


def disturb(cluster: Cluster, how: str) -> None:
    """Whatever a member sends, but to the storage."""
    for machine in cluster.machines.values():
        machine.disturb(how, but=cluster.lab.server.address)


def throughout(for_s: float, so: Callable[[], bool]) -> None:
    """It is so at every look."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        assert so()


def run_by(cluster: Cluster) -> list[str]:
    return [name for name in ("a", "b") if cluster.runs_on(cluster.machines[name])]


@pytest.mark.parametrize("how", HARMLESS)
def test_some_loss_and_delay_cost_nothing_but_time(cluster: Cluster, how: str):
    owner, _ = cluster.pair()
    epoch, before = cluster.queue_manager()["epoch"], len(cluster.acked())
    evicted = cluster.told("member_evicted")
    disturb(cluster, how)
    throughout(LOOK_S, lambda: bool(cluster.member(owner, by=owner)["leased"]) and cluster.owner(by=owner) == owner)
    figures.note(f"network, {how}", acknowledged_each_s=(len(cluster.acked()) - before) / LOOK_S)
    cluster.audit(owner)
    assert (cluster.owner(), cluster.queue_manager()["epoch"]) == (owner, epoch)
    assert cluster.told("member_evicted") == evicted


def test_heavy_loss_may_cost_a_takeover_but_no_message_and_never_has_two_run_it(cluster: Cluster):
    evicted, began_s = len(cluster.told("member_evicted")), time.monotonic()
    disturb(cluster, HARMFUL)
    throughout(2 * LOOK_S, lambda: len(run_by(cluster)) <= 1)
    took_s = time.monotonic() - began_s
    for machine in cluster.lab.machines:
        machine.calm()
    figures.note(f"network, {HARMFUL}", for_s=took_s, evictions=len(cluster.told("member_evicted")) - evicted)
    until("it is served", cluster.owner)
    cluster.audit(str(cluster.owner()))


def test_an_owner_that_is_cut_off_has_stopped_before_another_begins(cluster: Cluster):
    owner, other = cluster.pair()
    cut, epoch = cluster.machines[owner], cluster.queue_manager()["epoch"]
    cut.disturb("loss 100%", but=cluster.lab.server.address)
    for name in {*NAMES} - {owner}:
        cluster.machines[name].disturb("loss 100%", only=cut.address)
    took_s = until("served by the other one", lambda: len(run_by(cluster)) <= 1 and cluster.owner() == other)
    figures.note("network: served again after the owner was cut off", after_s=took_s)
    assert cluster.queue_manager()["epoch"] > epoch
    cluster.audit(other)
    for machine in cluster.lab.machines:
        machine.calm()
    until("it is a member again", lambda: cluster.member(owner).get("leased"))
    assert run_by(cluster) == [other]


def test_an_owner_that_loses_power_is_replaced_over_a_bad_network_too(cluster: Cluster):
    owner, other = cluster.pair()
    disturb(cluster, WORST)
    cluster.machines[owner].power_off()
    took_s = until("served by the other one", lambda: cluster.owner() == other)
    figures.note(f"network, {WORST}: served again after the owner's power was cut", after_s=took_s)
    cluster.audit(other)
