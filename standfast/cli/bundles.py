"""What each machine of a new cluster gets, as one archive to unpack at its root: cluster file, its keys, its unit."""

import io
import tarfile
from pathlib import Path

from standfast.cli.run import CLUSTER_FILE, TRUST
from standfast.cli.unit import DROP_IN
from standfast.clusterfile.unit import drop_in
from standfast.errors import UsageError
from standfast.model.cluster import Cluster

HOSTS = "hosts"
"""Directory of the archives, in that of the cluster file."""


def write_bundles(out: Path, cluster: Cluster) -> list[Path]:
    """One archive for each member, readable by its owner only, as it holds keys; raises UsageError."""
    try:
        (out / HOSTS).mkdir(mode=0o700)
        return [_bundle(out, cluster, member.name) for member in cluster.members]
    except OSError as error:
        raise UsageError(f"{out / HOSTS} can not be written: {error.strerror}. Choose another --out.") from error


def _bundle(out: Path, cluster: Cluster, name: str) -> Path:
    archive = out / HOSTS / f"{name}.tar"
    home, keys = CLUSTER_FILE.parent, out / TRUST / name
    with archive.open("xb") as opened, tarfile.open(fileobj=opened, mode="w") as tar:
        archive.chmod(0o600)
        _directory(tar, home, 0o755)
        _file(tar, CLUSTER_FILE, (out / CLUSTER_FILE.name).read_bytes(), 0o644)
        _directory(tar, home / TRUST, 0o700)
        _directory(tar, home / TRUST / name, 0o700)
        for key in sorted(keys.iterdir()):
            _file(tar, home / TRUST / name / key.name, key.read_bytes(), 0o600)
        _directory(tar, DROP_IN.parent, 0o755)
        _file(tar, DROP_IN, drop_in(cluster, cluster.member(name)).encode(), 0o644)
    return archive


def _directory(tar: tarfile.TarFile, path: Path, mode: int) -> None:
    entry = _entry(path, mode)
    entry.type = tarfile.DIRTYPE
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, path: Path, content: bytes, mode: int) -> None:
    entry = _entry(path, mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _entry(path: Path, mode: int) -> tarfile.TarInfo:
    """Of root, whatever user made it."""
    entry = tarfile.TarInfo(str(path).lstrip("/"))
    entry.mode, entry.uname, entry.gname = mode, "root", "root"
    return entry
