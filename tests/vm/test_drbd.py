"""DRBD between two machines, its handlers really called, below a real cluster: nothing acknowledged is ever lost."""

import json
from collections.abc import Iterator

import pytest

from tests.vm import figures
from tests.vm.cluster import QM, Cluster
from tests.vm.machines import Lab
from tests.vm.replicated import replicated, up
from tests.vm.waiting import until


@pytest.fixture
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Both copies in sync, served by a or b, numbers being sent by w."""
    try:
        made = replicated(lab)
        made.send()
        until("numbers are acknowledged", made.acked)
        yield made
    finally:
        for machine in lab.machines:
            machine.power_off()


def test_an_owner_that_loses_power_is_replaced_on_the_other_copy(cluster: Cluster):
    owner, other = cluster.pair()
    before = max(cluster.acked())
    cluster.machines[owner].power_off()
    took_s = until("served by the other one", lambda: cluster.owner() == other)
    until("numbers are acknowledged again", lambda: max(cluster.acked()) > before + 5)
    figures.note("DRBD: served again after the owner's power was cut", after_s=took_s)
    assert cluster.queue_manager()["outdated"] == [owner]
    cluster.audit(other)
    cluster.machines[owner].power_on()
    up(cluster.machines[owner].ready())
    cluster.start(owner)
    until("its copy is current again", lambda: not cluster.queue_manager()["outdated"])
    assert cluster.machines["w"].standfast("move", QM, owner).code == 0
    until("it is moved back", lambda: cluster.owner() == owner)
    cluster.audit(owner)


def test_a_standby_that_loses_power_freezes_writes_until_the_store_calls_its_copy_outdated(cluster: Cluster):
    owner, other = cluster.pair()
    before = max(cluster.acked())
    cluster.machines[other].power_off()
    until("its copy is outdated", lambda: cluster.queue_manager()["outdated"] == [other])
    until("numbers are acknowledged again", lambda: max(cluster.acked()) > before + 5)
    figures.note("DRBD: writes frozen when the standby's power was cut", for_s=cluster.longest_pause_s(before))
    cluster.audit(owner)
    # Now the only current copy loses power, and the outdated one comes back: it must not start.
    cluster.machines[owner].power_off()
    cluster.machines[other].power_on()
    up(cluster.machines[other].ready())
    cluster.start(other)
    until("it is a member again", lambda: cluster.member(other).get("leased"))
    refused = cluster.machines["w"].standfast("move", QM, other)
    assert "outdated" in refused.err
    assert not cluster.runs_on(cluster.machines[other])
    cluster.machines[owner].power_on()
    up(cluster.machines[owner].ready())
    cluster.start(owner)
    until("it runs where the data are", lambda: cluster.runs_on(cluster.machines[owner]))
    until("numbers are acknowledged again", lambda: max(cluster.acked()) > before + 10)
    cluster.audit(owner)


ROGUE = """
drbdadm disconnect {qm}
drbdsetup disk-options 0 --fencing=dont-care
drbdadm primary --force {qm}
mkdir -p /mnt/rogue; mount /dev/drbd0 /mnt/rogue; echo rogue >/mnt/rogue/rogue; umount /mnt/rogue
drbdadm secondary {qm}
drbdadm adjust {qm}
"""
"""Somebody goes around the store: what the rules of this cluster never do."""


def situations(cluster: Cluster) -> dict[str, str]:
    """How each half sees itself."""
    found = {name: cluster.machines[name].standfast("drbd", "status", "--json") for name in ("a", "b")}
    return {
        name: json.loads(done.out).get(QM, {}).get("situation", "") if done.code == 0 else ""
        for name, done in found.items()
    }


def heal(cluster: Cluster, on: str) -> None:
    done = cluster.machines[on].standfast("drbd", "heal", QM)
    assert done.code == 0, done.err


def in_sync(cluster: Cluster) -> bool:
    return set(situations(cluster).values()) == {"in_sync"} and not cluster.queue_manager()["outdated"]


def test_a_split_is_named_on_both_halves_and_healed_by_giving_up_the_outdated_one(cluster: Cluster):
    owner, other = cluster.pair()
    half = cluster.machines[other]
    half.sh("kill $(cat /run/standfast.pid); while kill -0 $(cat /run/standfast.pid) 2>/dev/null; do sleep 0.1; done")
    half.sh(ROGUE.format(qm=QM))
    cluster.start(other)
    until("both refuse each other", lambda: set(situations(cluster).values()) == {"split"})
    assert cluster.queue_manager()["outdated"] == [other]
    told = cluster.status(other)["notices"]
    assert [n["detail"] for n in told if n["kind"] == "replica"] == ["split"]
    cluster.audit(owner)  # it goes on all the while
    heal(cluster, other)
    heal(cluster, owner)
    until("both have everything", lambda: in_sync(cluster))
    assert cluster.machines["w"].standfast("move", QM, other).code == 0
    until("it is moved", lambda: cluster.owner() == other)
    cluster.audit(other)
    assert half.call("test", "-e", f"/data/{QM}/rogue").code == 1


def test_an_owner_that_is_cut_off_has_its_writes_frozen_and_they_are_given_up_by_healing(cluster: Cluster, lab: Lab):
    owner, other = cluster.pair()
    lab.unplug(cluster.machines[owner])
    took_s = until("served by the other one", lambda: cluster.owner() == other)
    figures.note("DRBD: served again after the owner was cut off", after_s=took_s)
    assert cluster.queue_manager()["outdated"] == [owner]
    cluster.audit(other)
    lab.plug(cluster.machines[owner])
    until("the halves refuse each other", lambda: set(situations(cluster).values()) == {"split"})
    heal(cluster, owner)
    heal(cluster, other)
    until("both have everything", lambda: in_sync(cluster))
    assert not cluster.runs_on(cluster.machines[owner])
    assert cluster.machines["w"].standfast("move", QM, owner).code == 0
    until("it is moved back", lambda: cluster.owner() == owner)
    cluster.audit(owner)
