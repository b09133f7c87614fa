#!/bin/sh
# Brings a fresh Debian or Ubuntu machine to the point where Standfast runs from this checkout: Debian packages, then
# a virtual environment in .venv with exactly the locked versions. Repeating it costs next to nothing.
#
# Usage: scripts/setup.sh PURPOSE     demo: what the demonstration needs; test: also what the tests need;
#                             hosts: what machines of their own need; vm: what machines with kernels of their own need;
#                             clients: what the examples for clients need;
#                             rabbit4: what a root of another Debian needs; compiled: what `make campaign` compiles with
# Exit codes: 4 something must be installed that this user may not install (it says what); else that of what failed.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-demo}

say() { printf '%s\n' "$*" >&2; }

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "Standfast needs Python 3.11 or newer as '$python'. Install it, or name it: PYTHON=/path/to/python3.11 make ..."
    exit 4
fi

missing=""
need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need etcd etcd-server
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
if [ "$purpose" = test ]; then
    need mosquitto mosquitto
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
    [ -f /usr/share/activemq/bin/activemq.jar ] || missing="$missing activemq"
    need java default-jre-headless
    need git git
    need fence_dummy fence-agents
    [ -x /usr/lib/ocf/resource.d/heartbeat/anything ] || missing="$missing resource-agents"
    need ip iproute2
    need nft nftables
    [ -x /usr/lib/drbd/drbdadm-84 ] || missing="$missing drbd-utils"
    need chromium chromium
    need haproxy haproxy
    need snmpwalk snmp
    need snmpd snmpd
    need snmptrapd snmptrapd
    need smilint smitools
    need promtool prometheus
    need rabbitmq-server rabbitmq-server
    need systemd-analyze systemd
fi

if [ "$purpose" = hosts ]; then
    need mmdebstrap mmdebstrap
    need nsenter util-linux
    need ip iproute2
fi

if [ "$purpose" = clients ]; then
    need javac default-jdk-headless
fi

if [ "$purpose" = compiled ]; then
    need cc gcc
    header='import os, sysconfig; os.stat(os.path.join(sysconfig.get_paths()["include"], "Python.h"))'
    "$python" -c "$header" 2>/dev/null || missing="$missing python3-dev"
fi

if [ "$purpose" = rabbit4 ]; then
    need mmdebstrap mmdebstrap
    need unshare util-linux
fi

if [ "$purpose" = vm ]; then
    need mmdebstrap mmdebstrap
    need linux.uml user-mode-linux
    need mke2fs e2fsprogs
    need ip iproute2
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then as_root=""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo"
    else
        say "These Debian packages are missing:$missing"
        say "Run:  sudo apt-get update && sudo apt-get install -y$missing     then repeat this command."
        exit 4
    fi
    say "Installing Debian packages:$missing"
    $as_root apt-get update -qq
    # No package may start a service of its own: Standfast starts what it needs itself.
    policy=/usr/sbin/policy-rc.d
    mine=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
        mine=yes
    fi
    trap '[ -z "$mine" ] || $as_root rm -f "$policy"' EXIT
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

stamp=.venv/.complete
if [ ! -f "$stamp" ] || [ requirements/all.txt -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    say "Setting up .venv ..."
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/all.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    touch "$stamp"
fi
