"""What the machines boot: Debian's User Mode Linux as their kernel, and one read-only disk with a small Debian.

Made once, in about a minute, below VM_DIR; made anew when anything here changes. Needs root and Debian's packages
`user-mode-linux`, `mmdebstrap` and `e2fsprogs` (`scripts/setup.sh vm`).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

VM_DIR = Path(os.environ.get("STANDFAST_VM_DIR", "/var/tmp/standfast-vm"))
KERNEL = Path("/usr/bin/linux.uml")
MODULES = Path("/usr/lib/uml/modules")
GUEST = Path(__file__).parent / "guest"
CHECKOUT = Path(__file__).parents[2]
PACKAGES = (
    "busybox-static,kmod,iproute2,iputils-ping,procps,nfs-kernel-server,nfs-common,drbd-utils,e2fsprogs,python3,"
    "mosquitto,etcd-server"
)
SLIM = tuple(f"--dpkgopt=path-exclude=/usr/share/{unused}/*" for unused in ("doc", "man", "locale"))
SOURCES = "/etc/apt/sources.list.d/debian.sources"
NEEDED = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "ip": "iproute2", "unshare": "util-linux"}


def site_packages() -> Path:
    """Where the tests' own Python has its packages: the machines use them too."""
    return Path(sysconfig.get_paths()["purelib"])


def base() -> Path:
    """The disk that all machines start from; made if it is not there."""
    image, stamp = VM_DIR / "base.ext4", VM_DIR / "made-of"
    wanted = _fingerprint()
    if not image.exists() or not stamp.exists() or stamp.read_text() != wanted:
        _require()
        stamp.unlink(missing_ok=True)
        _make(image)
        stamp.write_text(wanted)
    return image


def modules() -> Path:
    """The kernel's modules."""
    return next(MODULES.iterdir())


def _fingerprint() -> str:
    parts = [PACKAGES.encode(), *(path.read_bytes() for path in sorted(GUEST.iterdir()))]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _require() -> None:
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if not KERNEL.exists():
        missing.append("user-mode-linux")
    if missing or os.geteuid():
        sys.exit(
            f"Machines need root and these Debian packages: {' '.join(missing) or 'all there'}. See docs/vm-tests.md."
        )


def _make(image: Path) -> None:
    """A small Debian, of the release and the sources of this machine, with the guest's files in /vm."""
    VM_DIR.mkdir(parents=True, exist_ok=True)
    root = VM_DIR / "root"
    shutil.rmtree(root, ignore_errors=True)
    release = subprocess.run(
        ["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *SLIM]
    command += ['--aptopt=Apt::Install-Recommends "false"', release, str(root)]
    command += [SOURCES] if Path(SOURCES).exists() else []
    subprocess.run(command, check=True)
    shutil.copytree(GUEST, root / "vm")
    for path in (root / "vm").iterdir():
        path.chmod(0o755)
    shutil.copy(GUEST / "inittab", root / "etc" / "inittab")
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(2 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image)], check=True)
    shutil.rmtree(root)


if __name__ == "__main__":
    print(base())  # noqa: T201
