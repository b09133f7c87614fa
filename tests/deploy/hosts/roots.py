"""Debian roots for machines: a bare one, made once and kept in build/, and one with the package installed in it."""

import os
import shutil
from pathlib import Path

from tests.deploy.hosts.host import run

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "build" / "hosts"
BARE = ("systemd-sysv", "dbus", "ca-certificates", "iputils-ping", "procps")
"""What every machine has before Standfast comes: nothing that its package should ask for."""
BROKER = "mosquitto"
_APT = ("-o", "Acquire::Retries=3", "-y", "-qq", "--no-install-recommends")
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/apt/apt.conf.d", "/etc/apt/sources.list.d/debian.sources")
"""How packages are reached from here, they are reached from there."""


def bare() -> Path:
    """A root of this machine's own release."""
    archive = KEPT / "bare.tar"
    if not archive.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        release = {
            line.partition("=")[0]: line.partition("=")[2].strip('"')
            for line in Path("/etc/os-release").read_text().splitlines()
        }
        fresh = archive.with_suffix(".new.tar")
        options = ("--quiet", "--variant=minbase", f"--include={','.join(BARE)}")
        run("mmdebstrap", *options, release["VERSION_CODENAME"], fresh, "/etc/apt/sources.list.d/debian.sources")
        fresh.rename(archive)
    return archive


def unpacked(root: Path) -> Path:
    """The bare root, with this machine's way to packages."""
    root.mkdir()
    run("tar", "-C", root, "-xpf", bare())
    for name in _NETWORK:
        source, target = Path(name), root / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy(source, target)
    return root


def installed(package: Path, room: Path) -> Path:
    """The bare root with this package and a broker, by apt alone; in `room`."""
    root = unpacked(room / "installed")
    shutil.copy(package, root / "root/standfast.deb")
    inside = ("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", f"HOME={os.sep}root", "apt-get")
    run(*inside, "update", "-qq")
    run(*inside, "install", *_APT, "/root/standfast.deb", BROKER)
    (root / "etc/machine-id").write_text("")
    return root
