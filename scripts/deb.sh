#!/bin/sh
# Builds the Debian package of this checkout: dist/standfast_VERSION_ARCHITECTURE.deb, for the Python of this machine.
#
# Usage: scripts/deb.sh [VERSION]     VERSION: of the package; else that of pyproject.toml
# Exit codes: 4 something must be installed (it says what); else that of what failed.
set -eu
cd "$(dirname "$0")/.."
missing=""
for package in debhelper dpkg-dev python3-venv; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "Run:  sudo apt-get install -y$missing     then repeat this." >&2; exit 4; }
    # shellcheck disable=SC2086 # a list of words
    env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
version=${1:-$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)}

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
tree=$room/standfast-$version
mkdir "$tree"
# What git knows, as it is now, committed or not.
git ls-files -z --cached --others --exclude-standard | xargs -0 tar cf - --ignore-failed-read | tar xf - -C "$tree"
cp -r deploy/debian "$tree/debian"
for kind in service sysusers tmpfiles; do cp "deploy/systemd/standfast.$kind" "$tree/debian/"; done
cp deploy/aws/standfast-aws.service "$tree/debian/standfast.standfast-aws.service"
printf 'standfast (%s) stable; urgency=medium\n\n  * Built from its source tree.\n\n -- The authors of Standfast <standfast@localhost>  %s\n' \
    "$version" "$(date -R -d "@$(git log -1 --format=%ct)")" >"$tree/debian/changelog"
(cd "$tree" && dpkg-buildpackage --build=binary --no-sign >"$room/log" 2>&1) || { tail -40 "$room/log" >&2; exit 1; }
mkdir -p dist
cp "$room"/standfast_*.deb dist/
ls dist/standfast_"$version"_*.deb
