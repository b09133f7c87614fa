#!/bin/sh
# Makes a Debian machine into the image: run as root, with the package of Standfast somewhere below /tmp.
# Usage: BROKERS="nats-server mosquitto" sh provision.sh
set -eu
export DEBIAN_FRONTEND=noninteractive
package=$(find /tmp -name 'standfast_*.deb' | sort -V | tail -n 1)
[ -n "$package" ] || { echo "provision: no standfast_*.deb below /tmp: run make deb first" >&2; exit 1; }

apt-get -o Acquire::Retries=3 update -qq
# shellcheck disable=SC2086 # a list of words
apt-get -o Acquire::Retries=3 install -y -qq --no-install-recommends "$package" awscli curl nfs-common $BROKERS

# The packages start services of their own; on a member Standfast starts what is to run, with its own data.
systemctl disable etcd.service 2>/dev/null || true
for broker in $BROKERS; do
    systemctl disable "$broker.service" 2>/dev/null || true
done
mkdir -p /shared
# Each instance is a machine of its own.
: >/etc/machine-id
rm -f "$package"
