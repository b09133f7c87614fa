#!/bin/sh
# Boots systemd from a root directory, in namespaces of its own. The network namespace is the caller's.
# Usage: boot.sh ROOT NAME SHARED
set -eu
group=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)/standfast-$2-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
exec unshare --cgroup --pid --fork --mount --uts --ipc --kill-child=KILL sh -euc '
mount --bind "$1" "$1"
mkdir -p "$1/srv/shared"
mount --bind "$3" "$1/srv/shared"
hostname "$2"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/old
pivot_root . run/old
exec env -i container=standfast sh -c "umount -l /run/old; exec /lib/systemd/systemd --log-target=journal --show-status=no"
' sh "$1" "$2" "$3" </dev/null
