"""The rules that queue managers on replicated storage (kind `drbd`) must keep."""

from collections.abc import Iterator

from standfast.clusterfile.places import Fault, Problem
from standfast.clusterfile.words import MAX_PORT
from standfast.model.cluster import Cluster, Role

PAIR = 2
FILESYSTEMS = ("ext4", "xfs")


def problems(cluster: Cluster) -> Iterator[Problem]:
    """Everything that is wrong with them."""
    taken: dict[tuple[str, int | str], str] = {}
    for number, qm in enumerate(cluster.queue_managers):
        storage, path = qm.storage, ("queue_manager", number, "storage")
        if not storage.replicated:
            continue
        data = [m.name for m in cluster.members if m.role is Role.DATA]
        if len(data) != PAIR:
            yield Problem(
                Fault.BAD_VALUE,
                (*path, "kind"),
                f"storage of kind drbd has a copy on each of two data members, and this cluster has {len(data)}.",
            )
        if not storage.disk.startswith("/dev/"):
            yield Problem(
                Fault.MISSING,
                (*path, "disk"),
                f'disk = {storage.disk!r}: name the block device, such as "/dev/vg/mq1".',
            )
        if not 0 < storage.port <= MAX_PORT:
            yield Problem(Fault.MISSING, (*path, "port"), f"port = {storage.port}: give the replication a TCP port.")
        if storage.filesystem not in FILESYSTEMS:
            yield Problem(
                Fault.BAD_VALUE,
                (*path, "filesystem"),
                f"filesystem = {storage.filesystem!r} is unknown: choose {' or '.join(FILESYSTEMS)}.",
            )
        for key in ("disk", "minor", "port"):
            value = getattr(storage, key)
            other = taken.setdefault((key, value), qm.name)
            if other != qm.name:
                yield Problem(
                    Fault.DUPLICATE, (*path, key), f"{key} = {value!r} is also that of {other}: each needs its own."
                )


__all__ = ["problems"]
