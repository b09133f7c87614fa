"""A bad network between machines: loss and delay cost nothing; a pulled cable costs the member."""

from collections.abc import Iterator

import pytest

from tests.vm.cluster import Cluster
from tests.vm.machines import Lab
from tests.vm.waiting import until

BAD = "delay 30ms 10ms loss 2%"
ROUNDS = 15


@pytest.fixture
def cluster(lab: Lab) -> Iterator[Cluster]:
    made = Cluster(lab, "")
    for machine in lab.machines:
        machine.sh("modprobe sch_netem; mkdir -p /data/orders")
    made.start()
    try:
        until("served by a member", made.owner)
        yield made
    finally:
        for machine in lab.machines:
            machine.power_off()


def test_loss_and_delay_move_nothing_and_a_pulled_cable_moves_what_ran_there(cluster: Cluster, lab: Lab):
    owner = cluster.owner()
    assert owner is not None
    other = "b" if owner == "a" else "a"
    before = cluster.queue_manager()["epoch"]
    for machine in lab.machines:
        machine.sh(f"tc qdisc add dev lan0 root netem {BAD}")
    cluster.send()
    until("numbers are acknowledged", lambda: len(cluster.acked()) > ROUNDS)
    assert (cluster.owner(), cluster.queue_manager()["epoch"]) == (owner, before)
    for machine in lab.machines:
        machine.sh("tc qdisc del dev lan0 root")
    lab.unplug(cluster.machines[owner])
    took_s = until("served by the other one", lambda: cluster.owner() == other)
    print(f"served again {took_s:.1f} s after the cable was pulled")  # noqa: T201
    assert not cluster.runs_on(cluster.machines[owner])
    lab.plug(cluster.machines[owner])
    until("it is a member again", lambda: cluster.member(owner).get("leased"))
    assert cluster.owner() == other
