"""A cluster whose data are on DRBD: a copy on a and one on b, each on its second disk."""

from tests.vm.cluster import FILE, PROGRAM, QM, Cluster
from tests.vm.machines import Lab, Machine

BARE = "/dev/ubdb"
STORAGE = f'kind = "drbd"\ndisk = "{BARE}"\nminor = 0\nport = 7790'
RESOURCE = f"/etc/drbd.d/{QM}.res"
READY_S = 60.0


def up(machine: Machine) -> None:
    """Load the module, name its helper (without a newline), bring the resource up."""
    machine.sh(f"modprobe drbd; printf /sbin/drbdadm >/sys/module/drbd/parameters/usermode_helper; drbdadm up {QM}")


def replicated(lab: Lab) -> Cluster:
    """Both copies in sync, served by a or b."""
    made = Cluster(lab, STORAGE)
    halves = lab.machines[:2]
    for machine in halves:
        machine.sh(f"{PROGRAM} drbd config {QM} --file {FILE} --program {PROGRAM} --drbd 8 >{RESOURCE}")
        machine.sh(f"dd if=/dev/zero of={BARE} bs=1M status=none || true")  # of another test
        machine.sh(f"modprobe drbd; yes yes | drbdadm create-md --force {QM} >/dev/null 2>&1")
        up(machine)
    one = halves[0]
    one.until(f"drbdadm cstate {QM} | grep -q ^Connected", READY_S)
    one.sh(f"drbdadm -- --clear-bitmap new-current-uuid {QM}")
    one.until(f"drbdadm dstate {QM} | grep -q UpToDate/UpToDate", READY_S)
    one.sh(f"drbdadm primary {QM}; mkfs.ext4 -q /dev/drbd0; drbdadm secondary {QM}")
    made.start()
    made.until_served()
    return made
