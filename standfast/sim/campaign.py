"""Many runs, on one core or several: a seed each, independent of each other, in any order."""

import concurrent.futures
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from standfast.model.timing import Timing
from standfast.sim.outcome import Outcome
from standfast.sim.run import simulate


class Plan(Struct, frozen=True, kw_only=True):
    """What each run is.

    Attributes:
        members: of the cluster.
        minutes: of virtual time with faults.
        timing: None: drawn for each run.
    """

    members: int = 3
    minutes: float = 2.0
    timing: Timing | None = None


class Tally(Struct, kw_only=True):
    """The sum of a campaign.

    Attributes:
        runs: how many.
        simulated_s: virtual time of all.
        cpu_s: user CPU time that they took.
        broken: outcomes of the runs in which a promise broke.
        coverage: how often each thing happened.
    """

    runs: int = 0
    simulated_s: float = 0.0
    cpu_s: float = 0.0
    broken: list[Outcome] = field(default_factory=list)
    coverage: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome, cpu_s: float) -> None:
        """Count one run."""
        self.runs += 1
        self.simulated_s += outcome.simulated_s
        self.cpu_s += cpu_s
        self.coverage.update(outcome.coverage)
        if outcome.broken:
            self.broken.append(outcome)

    @property
    def speed(self) -> float:
        """Virtual seconds for each second of one core."""
        return self.simulated_s / self.cpu_s if self.cpu_s else 0.0


def run_one(plan: Plan, seed: int) -> tuple[Outcome, float]:
    """One run and the CPU seconds it took."""
    before = time.process_time()
    outcome = simulate(seed, plan.members, plan.minutes, plan.timing)
    return outcome, time.process_time() - before


def campaign(plan: Plan, seeds: Iterable[int], jobs: int = 1) -> Iterator[tuple[Outcome, float]]:
    """Outcomes as they come."""
    if jobs == 1:
        for seed in seeds:
            yield run_one(plan, seed)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        waiting = {pool.submit(run_one, plan, seed) for seed in seeds}
        try:
            for done in concurrent.futures.as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)
