"""DRBD between two machines, its handlers really called, below a real cluster: nothing acknowledged is ever lost."""

from collections.abc import Iterator

import pytest

from tests.vm.cluster import FILE, PROGRAM, QM, Cluster
from tests.vm.machines import Lab, Machine
from tests.vm.waiting import until

STORAGE = 'kind = "drbd"\ndisk = "/dev/ubdb"\nminor = 0\nport = 7790'
RESOURCE = f"/etc/drbd.d/{QM}.res"


def up(machine: Machine) -> None:
    """Load the module, name its helper (without a newline), bring the resource up."""
    machine.sh(f"modprobe drbd; printf /sbin/drbdadm >/sys/module/drbd/parameters/usermode_helper; drbdadm up {QM}")


@pytest.fixture
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Both copies in sync, the queue manager served by a, numbers being sent by w."""
    made = Cluster(lab, STORAGE)
    halves = lab.machines[:2]
    for machine in halves:
        machine.sh(f"{PROGRAM} drbd config {QM} --file {FILE} --program {PROGRAM} --drbd 8 >{RESOURCE}")
        machine.sh("dd if=/dev/zero of=/dev/ubdb bs=1M status=none || true")  # of another test
        machine.sh(f"modprobe drbd; yes yes | drbdadm create-md --force {QM} >/dev/null 2>&1")
        up(machine)
    one = halves[0]
    one.until(f"drbdadm cstate {QM} | grep -q ^Connected", 20)
    one.sh(f"drbdadm -- --clear-bitmap new-current-uuid {QM}")
    one.until(f"drbdadm dstate {QM} | grep -q UpToDate/UpToDate", 20)
    one.sh(f"drbdadm primary {QM}; mkfs.ext4 -q /dev/drbd0; drbdadm secondary {QM}")
    made.start()
    try:
        made.until_served()
        made.send()
        until("numbers are acknowledged", made.acked)
        yield made
    finally:
        for machine in lab.machines:
            machine.power_off()


def audit(cluster: Cluster, on: str) -> None:
    """Everything that was acknowledged is there."""
    acked = set(cluster.acked())
    written = set(cluster.written(on))
    assert acked
    assert acked <= written, sorted(acked - written)[:10]


def test_an_owner_that_loses_power_is_replaced_on_the_other_copy(cluster: Cluster):
    owner = cluster.owner()
    assert owner is not None
    other = "b" if owner == "a" else "a"
    before = max(cluster.acked())
    cluster.machines[owner].power_off()
    took_s = until("served by the other one", lambda: cluster.owner() == other, 120)
    until("numbers are acknowledged again", lambda: max(cluster.acked()) > before + 5)
    print(f"served again {took_s:.1f} s after the power cut")  # noqa: T201
    assert cluster.queue_manager()["outdated"] == [owner]
    audit(cluster, other)
    cluster.machines[owner].power_on()
    up(cluster.machines[owner].ready())
    cluster.start(owner)
    until("its copy is current again", lambda: not cluster.queue_manager()["outdated"], 60)
    assert cluster.machines["w"].standfast("move", QM, owner).code == 0
    until("it is moved back", lambda: cluster.owner() == owner, 60)
    audit(cluster, owner)


def test_a_standby_that_loses_power_freezes_writes_until_the_store_calls_its_copy_outdated(cluster: Cluster):
    owner = cluster.owner()
    assert owner is not None
    other = "b" if owner == "a" else "a"
    cluster.machines[other].power_off()
    until("its copy is outdated", lambda: cluster.queue_manager()["outdated"] == [other])
    before = max(cluster.acked())
    until("numbers are acknowledged again", lambda: max(cluster.acked()) > before + 5)
    print(f"writes were frozen for {max(cluster.acked().values()):.2f} s")  # noqa: T201
    audit(cluster, owner)
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
    audit(cluster, owner)
