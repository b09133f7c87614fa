"""A cluster whose data lie on an NFS server: the owner's power is cut, the server hangs, the owner alone loses it."""

import time
from collections.abc import Iterator

import pytest

from tests.vm import figures, nfs
from tests.vm.cluster import ASKED, NAMES, Cluster, on_nfs
from tests.vm.machines import Lab, Machine
from tests.vm.waiting import until

HANG_S = 3 * nfs.LEASE_S
"""Longer than the server keeps a lock of which it hears nothing."""


@pytest.fixture
def cluster(booted: Lab) -> Iterator[Cluster]:
    """Served by a or b, numbers being sent by w."""
    yield from on_nfs(booted, ASKED)


def storage_trouble(cluster: Cluster, by: str) -> str:
    """What a member says of the storage, itself."""
    notices = cluster.status(by).get("notices", ())
    return next((notice["detail"] for notice in notices if notice["kind"] == "standby_unready"), "")


def test_an_owner_that_loses_power_is_replaced_when_the_server_has_given_its_lock_away(
    cluster: Cluster, server: Machine
):
    owner, other = cluster.pair()
    epoch = cluster.queue_manager()["epoch"]
    cluster.machines[owner].power_off()
    took_s = until("served by the other one", lambda: cluster.owner() == other)
    figures.note("NFS: served again after the owner's power was cut", lease_s=nfs.LEASE_S, after_s=took_s)
    assert cluster.queue_manager()["epoch"] > epoch
    cluster.audit(other)
    back = cluster.machines[owner]
    back.power_on()
    nfs.mount(back.ready(), server, at="/data")
    cluster.start(owner)
    until("it is a member again", lambda: cluster.member(owner).get("leased"))
    assert not cluster.runs_on(back)
    cluster.audit(other)


def test_a_server_that_hangs_moves_nothing_and_every_member_goes_on_and_says_so(cluster: Cluster, server: Machine):
    owner, other = cluster.pair()
    epoch = cluster.queue_manager()["epoch"]
    with server.frozen():
        for name in (owner, other):
            until("it says that the storage hangs", lambda name=name: storage_trouble(cluster, name).startswith("hung"))
        began = time.monotonic()
        while time.monotonic() < began + HANG_S:
            assert [bool(cluster.member(name, by=name).get("leased")) for name in NAMES] == [True] * 3
            assert cluster.queue_manager()["owner"] == owner
            assert not cluster.runs_on(cluster.machines[other])
    took_s = until("it is served again", cluster.owner)
    figures.note("NFS: served again after the server hung", hung_s=HANG_S, after_s=took_s)
    assert (cluster.owner(), cluster.queue_manager()["epoch"]) == (owner, epoch)
    cluster.audit(owner)
    until("nothing is wrong with the storage", lambda: not any(storage_trouble(cluster, n) for n in (owner, other)))


def test_an_owner_that_alone_does_not_reach_the_server_keeps_it_until_its_machine_is_reset(
    cluster: Cluster, server: Machine
):
    owner, other = cluster.pair()
    stuck = cluster.machines[owner]
    stuck.disturb("loss 100%", only=server.address)
    until("it says that the storage hangs", lambda: storage_trouble(cluster, owner).startswith("hung"))
    # No signal ends a process that waits for its writes: until the machine is reset another one must not begin.
    began = time.monotonic()
    while time.monotonic() < began + HANG_S:
        assert cluster.queue_manager()["owner"] == owner
        assert not cluster.runs_on(cluster.machines[other])
        assert storage_trouble(cluster, other) == ""
    stuck.power_off()
    until("served by the other one", lambda: cluster.owner() == other)
    cluster.audit(other)
