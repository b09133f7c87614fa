"""Which releases of etcd can be trusted with decisions.

Source: etcd's change logs. Stale linearizable reads of a paused member: mended in 3.5.28 and 3.6.9; nested
transactions that bypass permissions: 3.5.30 and 3.6.11. The 3.4 line ended in June 2026.
"""

import re

from standfast.errors import StoreFatal

OLDEST = (3, 4)
"""Older servers have no /v3 gateway."""

MENDED: dict[tuple[int, int], tuple[int, int, int] | None] = {(3, 4): None, (3, 5): (3, 5, 30), (3, 6): (3, 6, 11)}
"""First release of each line without known faults that matter here; None: the line ended without one."""


def version_problem(version: str) -> str | None:
    """A sentence of warning about an etcd server of that version, or None.

    Raises StoreFatal when it can not be used at all, or when the version can not be read.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        raise StoreFatal(f"The store says that its version is {version!r}: that is not etcd's way to write one.")
    release = (int(found[1]), int(found[2]), int(found[3]))
    line = release[:2]
    if line < OLDEST:
        raise StoreFatal(f"etcd {version} is too old: it lacks the gateway that is needed. Install 3.4 or newer.")
    if line not in MENDED:
        return None
    mended = MENDED[line]
    if mended is None:
        return (
            f"etcd {version} is of a line that is no longer mended: a member that was paused may answer reads with "
            f"old data. Guarded transactions are safe. Plan the move to 3.5.30, 3.6.11 or newer."
        )
    if release < mended:
        wanted = ".".join(map(str, mended))
        return (
            f"etcd {version} has known faults in reads by a paused member or in permissions. Guarded transactions "
            f"are safe. Update to {wanted} or newer."
        )
    return None
