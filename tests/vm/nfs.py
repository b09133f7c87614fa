"""An NFS server on one machine, and its mounts on others."""

from tests.vm.machines import Machine

DIRECTORY = "/shared"
LEASE_S = 10
"""The shortest that a Linux server takes."""
OPTIONS = "vers=4.1,hard,timeo=50,retrans=2"

SERVE = """
modprobe nfsd
mkdir -p /srv/shared /var/lib/nfs/rpc_pipefs /var/lib/nfs/nfsdcld
mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
[ "$(cat /proc/fs/nfsd/threads)" = 0 ] || exit 0
mountpoint -q /var/lib/nfs/rpc_pipefs || mount -t rpc_pipefs pipefs /var/lib/nfs/rpc_pipefs
pidof nfsdcld >/dev/null || nfsdcld
mountpoint -q /srv/shared || { mkfs.ext4 -q -F /dev/ubdb; mount /dev/ubdb /srv/shared; }
echo '/srv/shared 10.79.0.0/24(rw,sync,no_root_squash,no_subtree_check,fsid=0)' >/etc/exports
echo $LEASE >/proc/fs/nfsd/nfsv4leasetime
echo $LEASE >/proc/fs/nfsd/nfsv4gracetime
exportfs -ra
pidof rpc.mountd >/dev/null || rpc.mountd -N 3
rpc.nfsd -N 3 -V 4.1 -V 4.2 4
"""
GRACE = """
import fcntl, sys
with open(sys.argv[1] + "/grace", "a") as file:  # the first lock of all waits until the server's grace period is over
    fcntl.lockf(file, fcntl.LOCK_EX)
"""


def serve(machine: Machine) -> None:
    """Have that machine, switched on if need be, export /srv/shared, on its data disk."""
    if not machine.up:
        machine.power_on()
        machine.ready()
    machine.sh(SERVE, LEASE=str(LEASE_S))


def mount(machine: Machine, server: Machine, options: str = OPTIONS, *, at: str = DIRECTORY) -> None:
    """Mount it, and wait until locks are granted."""
    machine.sh(
        f"modprobe nfsv4; mkdir -p {at}; mountpoint -q {at} && umount -f {at};"
        f"mount -t nfs4 -o {options} {server.address}:/ {at}"
    )
    machine.python(GRACE, at, timeout_s=3 * LEASE_S)
