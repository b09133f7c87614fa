"""A member that stands still, daemon and warden: the kernel's watchdog resets its machine, and another takes over."""

from collections.abc import Iterator

import pytest

from tests.vm import figures
from tests.vm.cluster import Cluster
from tests.vm.machines import Lab
from tests.vm.waiting import until

WATCHDOG = 'watchdog = "required"\nwatchdog_device = "/dev/watchdog1"'
"""/dev/watchdog is User Mode Linux's own."""
STAND_STILL = "pkill -STOP -f 'run --[m]ember'; pkill -STOP -f 'standfast.member.[w]arden'"


@pytest.fixture
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Each member has a directory of its own: what is tried is who runs, not on what."""
    made = Cluster(lab, "", member=WATCHDOG)
    for name in ("a", "b"):
        made.machines[name].sh("modprobe softdog nowayout=0; mkdir -p /data/orders")
    made.start()
    try:
        made.until_served()
        yield made
    finally:
        for machine in lab.machines:
            machine.power_off()


def test_a_machine_whose_member_stands_still_is_reset_and_nothing_of_it_runs_when_another_takes_over(cluster: Cluster):
    owner = cluster.owner()
    assert owner is not None
    other = "b" if owner == "a" else "a"
    stuck = cluster.machines[owner]
    stuck.sh(STAND_STILL)
    assert cluster.runs_on(stuck)  # nobody stops it in an orderly way any more
    took_s = stuck.wait_down(60)
    figures.note("watchdog: machine reset after its member stood still", after_s=took_s)
    assert "Initiating system reboot" in stuck.console()
    until("served by the other one", lambda: cluster.owner() == other)
