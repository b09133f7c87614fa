"""Processes of a queue manager in a cgroup that another program made, such as a unit of systemd.

Guarantees, once `end` was called and `empty` has said yes: nothing lives in that cgroup, and the file without which the
other program starts nothing is gone. Does not guarantee: that the other program, which looked for the file just before
it was removed, starts nothing a moment later; `end` is called again until the queue manager counts as ended.

Standard library only.
"""

import contextlib
import time
from pathlib import Path

from standfast.member.minder_plan import Outside
from standfast.member.processes import Cgroup, cgroup_at
from standfast.member.warden_run_dir import RunDir

_PAUSE_S = 0.002


class OutsideBox:
    """One such cgroup with its permit. Raises OSError where there are no cgroups of version 2."""

    def __init__(self, where: Outside) -> None:
        path = cgroup_at(where.cgroup)
        if path is None:
            raise OSError("there are no cgroups of version 2 on this machine")
        self._box = Cgroup(path)
        self._permit = Path(where.permit)

    def populated(self) -> bool:
        """Whether a process lives in it."""
        return self._box.populated()

    def end(self) -> None:
        """Remove the permit, then SIGKILL to every process in the cgroup."""
        with contextlib.suppress(OSError):
            self._permit.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if self._box.populated():
                self._box.kill()

    def empty(self) -> bool:
        """Whether nothing is left; ends it again if something is."""
        if self._permit.exists() or self.populated():
            self.end()
        return not self._permit.exists() and not self.populated()


def boxes_on_record(run_dir: RunDir) -> dict[str, OutsideBox]:
    """Those of all launches on record, by queue manager; none where there are no cgroups."""
    found = {}
    for record in run_dir.launches():
        with contextlib.suppress(OSError, TypeError):
            if record.outside:
                found[record.qm] = OutsideBox(Outside(*record.outside))
    return found


def end_all(run_dir: RunDir) -> None:
    """End all that is on record; waits until nothing of it is left."""
    boxes = boxes_on_record(run_dir).values()
    for box in boxes:
        box.end()
    while not all(box.empty() for box in boxes):
        time.sleep(_PAUSE_S)
