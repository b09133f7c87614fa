#!/bin/sh
# Runs a command as root of network namespaces: what needs root here is real cuts of a real network.
# As root it is just run. Anybody else gets a user, mount and network namespace for it, where they are root, with
# nothing of the machine's network in it; the kernel must allow that (Debian and Ubuntu do unless it was switched off).
#
# Usage: scripts/rooted.sh COMMAND ...     Exit code: that of the command; 4 when there is no way.
set -eu
export PATH="$PATH:/usr/sbin:/sbin"
[ "$(id -u)" = 0 ] && exec "$@"
if ! unshare --user --map-root-user --mount --net true 2>/dev/null; then
    echo "This needs root, or a kernel that lets users make namespaces (kernel.unprivileged_userns_clone = 1," \
        "kernel.apparmor_restrict_unprivileged_userns = 0). Repeat it as root." >&2
    exit 4
fi
# The names of network namespaces are files in /run, and loopback is down in a new namespace.
exec unshare --user --map-root-user --mount --net sh -c 'mount -t tmpfs none /run && ip link set lo up && exec "$@"' sh "$@"
