"""Who claimed the storage of what runs here: a later owner's stamp ends it at once, and says why.

Guarantees: a queue manager that runs here on a directory is killed within one round of probes (member/fitness.py) after
a stamp of a later owner, or of another cluster or queue manager, can be read there. It can be when the lock of a dead
NFS client was given away, when the store was put back to an older state, or when somebody made a mistake with a path.
Does not guarantee that both never wrote: lease, lock and stamp do that before the start. This is what is left when one
of them has failed. What is killed is started again only past the same stamp: the launch refuses it.

It reads nothing itself: the prober's disposable child has done so.
"""

from collections.abc import Callable

from standfast.member.journal import Journal
from standfast.model.events import Event, EventKind
from standfast.quorum import signals as sig
from standfast.quorum.core import Core
from standfast.quorum.runs import Run, RunState
from standfast.storage.directory import contested
from standfast.storage.epoch_file import Stamp

_ACTIVE = frozenset({RunState.LAUNCHING, RunState.SERVING})


class Stamps:
    """Of one member; `give` takes what is found, `kill` ends every process of a queue manager."""

    def __init__(
        self, core: Core, give: Callable[[sig.Input], None], kill: Callable[[str], None], journal: Journal
    ) -> None:
        self._core = core
        self._give = give
        self._kill = kill
        self._journal = journal

    def matter(self, qm: str) -> bool:
        """Whether it runs here, so that a later stamp would have to be seen."""
        return self._active(qm) is not None

    def here(self, qm: str) -> bool:
        """Whether a process of it may exist on this machine."""
        run = self._core.keeper.runs.get(qm)
        return (run is not None and run.alive) or bool(self._core.keeper.heritage)

    def seen(self, qm: str, stamp: Stamp) -> None:
        """This stamp was read just now where it keeps its data."""
        run = self._active(qm)
        if run is None:
            return
        me = self._core.me
        # Before it has joined again it has no incarnation: what its former life claimed, and left running, is its own.
        claimant = self._core.ordered.claimant or stamp.incarnation
        mine = Stamp(self._core.rules.cluster.id, qm, run.epoch, me, claimant)
        code = contested(stamp, mine)
        if code is None:
            return
        detail = f"claimed at {stamp.written} for {stamp.qm} of cluster {stamp.cluster} under epoch {stamp.epoch}"
        fields: dict[str, str | int | float | bool | None] = {"epoch": run.epoch, "owner": me, "code": code}
        fields |= {"rival": stamp.member, "detail": detail}
        self._journal.told(Event(kind=EventKind.STORAGE_CONTESTED, subject=qm, fields=fields))
        self._give(sig.Unhealthy(qm, run.epoch, code))
        self._kill(qm)  # a graceful stop would write, where somebody else may be writing

    def _active(self, qm: str) -> Run | None:
        run = self._core.keeper.runs.get(qm)
        return run if run is not None and run.state in _ACTIVE else None


__all__ = ["Stamps"]
