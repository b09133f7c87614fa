"""A long campaign of the simulator over three, five and seven members: hours, promises broken, what was not exercised.

python bench/campaign.py [--hours 2000] [--jobs 2] [--first SEED]

Faults come by the term, not by the hour: an hour under `cautious` holds as many of them as a tenth of one under `fast`.
So most hours are of the slower profiles, and each batch says how many faults it had.
"""

import argparse
import json
import time
from collections import Counter
from typing import Any

from figures import save
from msgspec import Struct

from standfast.model.timing import PROFILES
from standfast.sim.campaign import Plan, Tally, campaign
from standfast.sim.coverage import missed

S_PER_H = 3600
ROUND = 16
"""Runs of a batch until the next one has its turn."""


class Batch(Struct, kw_only=True):
    """Runs of one kind."""

    name: str
    plan: Plan
    share: float
    tally: Tally
    next_seed: int

    @property
    def hours(self) -> float:
        return self.tally.simulated_s / S_PER_H


def batches(first: int) -> list[Batch]:
    kinds = [
        (3, "", 4.0, 0.006),
        (5, "", 4.0, 0.003),
        (7, "", 4.0, 0.0015),
        (3, "normal", 10.0, 0.06),
        (5, "normal", 10.0, 0.02),
        (7, "normal", 10.0, 0.01),
        (3, "cautious", 40.0, 0.5),
        (5, "cautious", 40.0, 0.25),
        (7, "cautious", 40.0, 0.15),
    ]
    return [
        Batch(
            name=f"{members} members, {profile or 'drawn timing'}",
            plan=Plan(members=members, minutes=minutes, timing=PROFILES[profile] if profile else None),
            share=share,
            tally=Tally(),
            next_seed=first,
        )
        for members, profile, minutes, share in kinds
    ]


def faults(coverage: Counter[str]) -> int:
    return sum(count for name, count in coverage.items() if name.startswith(("fault: ", "aimed: ")))


def told(all_batches: list[Batch]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for batch in all_batches:
        total.update(batch.tally.coverage)
    return {
        "hours": round(sum(b.hours for b in all_batches), 1),
        "faults": faults(total),
        "broken": [f"{b.name}: seed {o.seed}: {o.broken}" for b in all_batches for o in b.tally.broken],
        "not exercised": missed(total),
        "batches": {
            b.name: {
                "hours": round(b.hours, 1),
                "runs": b.tally.runs,
                "minutes each": b.plan.minutes,
                "faults": faults(b.tally.coverage),
                "times real time": round(b.tally.speed),
            }
            for b in all_batches
        },
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """The section of docs/measured.md."""
    found = [
        "## Campaign of the simulator",
        "",
        f"{figures['hours']:,.0f} simulated hours with {figures['faults']:,} faults: {len(figures['broken'])} promises",
        f"broken. Not exercised: {', '.join(figures['not exercised']) or 'nothing'}.",
        "",
        "| members, profile | hours | runs | minutes each | faults | times real time, one core |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in figures["batches"].items():
        counts = f"{one['hours']:,.1f} | {one['runs']:,} | {one['minutes each']:g} | {one['faults']:,}"
        found.append(f"| {name} | {counts} | {one['times real time']:,} |")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2000.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=1_000_000)
    given = parser.parse_args()
    todo = batches(given.first)
    began = time.monotonic()
    while any(b.hours < b.share * given.hours for b in todo):
        for batch in todo:
            if batch.hours >= batch.share * given.hours:
                continue
            for outcome, cpu_s in campaign(batch.plan, range(batch.next_seed, batch.next_seed + ROUND), given.jobs):
                batch.tally.add(outcome, cpu_s)
                if outcome.broken:
                    print(f"{batch.name}: seed {outcome.seed}: {outcome.broken}: {outcome.how}", flush=True)
            batch.next_seed += ROUND
        save("campaign", told(todo))
        print(f"{time.monotonic() - began:6.0f} s: {sum(b.hours for b in todo):.0f} h simulated", flush=True)
    print(json.dumps(told(todo), indent=1))


if __name__ == "__main__":
    main()
