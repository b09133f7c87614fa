"""What a former process of this member left running, until the store has told what it is.

Guarantees: from the first moment on it counts as alive, so that nothing is joined, sworn off or launched over it; each
becomes a run under the epoch under which it was started, whatever the store says now. What the store does not know at
all is killed.

Assumes that every end is reported: the warden's connection is made before this is told.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from standfast.model.records import Assignment, Phase
from standfast.model.view import View
from standfast.quorum.runs import Run, RunState
from standfast.quorum.signals import Attend, Effect, Kill, Survivor


class Heritage:
    """Of one process; empty when it found nothing."""

    __slots__ = ("_killed", "_survivors")

    def __init__(self) -> None:
        self._survivors: dict[str, Survivor] = {}
        self._killed: set[str] = set()

    def __bool__(self) -> bool:
        """Whether something is left that is no run yet."""
        return bool(self._survivors)

    def __iter__(self) -> Iterator[str]:
        """Names of what is left."""
        return iter(self._survivors)

    def found(self, survivors: Iterable[Survivor]) -> None:
        """These live."""
        self._survivors = {survivor.qm: survivor for survivor in survivors}

    def launched(self, qm: str, epoch: int) -> None:
        """The launch that was under way has come to its end."""
        survivor = self._survivors.get(qm)
        if survivor is not None and survivor.epoch == epoch:
            self._survivors[qm] = structs.replace(survivor, executed=True)

    def ended(self, qm: str, epoch: int) -> None:
        """Nothing of it is left."""
        survivor = self._survivors.get(qm)
        if survivor is not None and survivor.epoch == epoch:
            del self._survivors[qm]

    def settle(self, view: View, runs: dict[str, Run], now_ns: int) -> Iterator[Effect]:
        """Turn what the store knows into runs, and have the rest killed."""
        for qm, survivor in list(self._survivors.items()):
            spec, kept = view.specs.get(qm), view.assignments.get(qm)
            if spec is None:
                if qm not in self._killed:
                    self._killed.add(qm)
                    yield Kill(qm)
                continue
            del self._survivors[qm]
            assignment = kept.record if kept else Assignment(qm=qm)
            run = runs[qm] = Run(spec.record, assignment, now_ns)
            run.found(survivor, now_ns, served=assignment.phase is Phase.RUNNING)
            if run.state is not RunState.STOPPING:
                yield Attend(qm, run.epoch, serving=run.state is RunState.SERVING)
