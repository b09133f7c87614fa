"""Where acts are played: a cluster, its queue manager, and what was done to it."""

from standfast.drill.outage import Fault
from standfast.drill.sightings import Sightings
from standfast.errors import UsageError
from standfast.lab.lab import Lab
from standfast.lab.reach import Reach
from standfast.model.cluster import Role
from standfast.ports import boottime_ns


class Stage:
    """A cluster that can be asked, and, in a lab, whose nodes can be killed.

    Attributes:
        reach: the cluster.
        qm: name of the queue manager.
        sightings: of its processes on this machine.
        faults: what was done, as marks for the report.
        breaches: promises seen broken, a sentence each.
    """

    def __init__(self, reach: Reach, qm: str, sightings: Sightings) -> None:
        self.reach = reach
        self.qm = qm
        self.sightings = sightings
        self.faults: list[Fault] = []
        self.breaches: list[str] = []

    @property
    def lab(self) -> Lab:
        """The lab whose nodes may be killed; raises UsageError on a cluster that is none."""
        if not isinstance(self.reach, Lab):
            raise UsageError("Nodes are only killed in a lab: see `standfast lab up` and `standfast demo`.")
        return self.reach

    async def owner(self) -> str:
        """Who runs the queue manager; waits until somebody does."""
        owner = (await self.reach.until_running(self.qm)).owner
        assert owner is not None
        return owner

    async def epoch(self) -> int:
        """Of its assignment."""
        return (await self.reach.until_running(self.qm)).epoch

    def others(self, *members: str) -> list[str]:
        """All members but these."""
        return [m.name for m in self.reach.cluster.members if m.name not in members]

    def data(self) -> list[str]:
        """All data members."""
        return [m.name for m in self.reach.cluster.members if m.role is Role.DATA]

    def witness(self) -> str:
        """The first witness, or the last member where there is none."""
        names = [m.name for m in self.reach.cluster.members if m.role is Role.WITNESS]
        return names[0] if names else self.reach.cluster.members[-1].name

    def mark(self, label: str, detail: str) -> int:
        """A fault happens now; the moment, on CLOCK_BOOTTIME."""
        now_ns = boottime_ns()
        self.faults.append(Fault(label=label, detail=detail, at_ns=now_ns))
        return now_ns
