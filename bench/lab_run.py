"""Running drills on a lab again and again, and what each takeover cost, piece by piece."""

import shutil
import tempfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bare import NS_PER_MS, Bare, life_of
from msgspec import structs

from standfast.drill.acts import BY_NAME
from standfast.drill.audit import Verdict
from standfast.drill.director import Director, Rhythm
from standfast.drill.on_lab import on_lab
from standfast.drill.result import DrillResult
from standfast.lab.lab import Lab
from standfast.lab.plan import plan
from standfast.model.events import EventKind
from standfast.ports import Place

PIECES = ("detect", "decide", "storage", "start", "endpoint")
ROUNDS_OF_A_LAB = 4
"""A member that dies again and again is held back, longer each time: with more, a drill would wait for that."""
WORST_FIRST = (Verdict.BROKEN, Verdict.UNPROVEN, Verdict.NO_PROMISE, Verdict.KEPT)
KILLS_APART_S = 0.5
"""Kills of the queue manager further apart than this are each its first: none waits, none moves it."""
RHYTHM = Rhythm(every_ms=5, retry_ms=20, steady_s=0.6)


class Played(NamedTuple):
    """What came of a drill: of each part its result, of each takeover its milliseconds, lives of the bare broker."""

    results: list[DrillResult]
    rows: list[dict[str, float]]
    bare: list[Bare]

    def figures(self) -> dict[str, Any]:
        """As they are kept."""
        totals = [result.totals for result in self.results]
        return {
            "verdict": str(min((result.verdict for result in self.results), key=WORST_FIRST.index)),
            "breaches": [breach for result in self.results for breach in result.breaches],
            "acked": sum(total.acked for total in totals),
            "lost": sum(total.lost for total in totals),
            "doubled": sum(total.doubled for total in totals),
            "outage": spread([row["outage"] for row in self.rows]),
            **{piece: spread([row[piece] for row in self.rows]) for piece in PIECES},
            "bare_start": spread([life.start for life in self.bare]),
            "bare_stop": spread([life.stop for life in self.bare]),
        }


async def drill(profile: str, act: str, rounds: int, kind: str = "nats", rhythm: Rhythm = RHYTHM) -> Played:
    """Play one act so many times, on as many fresh labs as it takes."""
    parts = [
        await _part(profile, act, min(ROUNDS_OF_A_LAB, rounds - done), kind, rhythm)
        for done in range(0, rounds, ROUNDS_OF_A_LAB)
    ]
    return Played(*(list(chain.from_iterable(column)) for column in zip(*parts, strict=True)))


async def _part(profile: str, act: str, rounds: int, kind: str, rhythm: Rhythm) -> Played:
    acts = [BY_NAME[name] for name in ((act, "return") if act == "kill-node" else (act,))] * rounds
    with tempfile.TemporaryDirectory(prefix="standfast-bench-") as directory:
        plan(Path(directory), name="bench", profile=profile, kind=kind, restart_window_s=KILLS_APART_S)
        lab = Lab(Path(directory))
        try:
            lab.up()
            await lab.until_whole()
            director = on_lab(lab, rhythm)
            result = await director.play(acts)
            rows = takeovers(director, result)
            lab.down()
            return Played([result], rows, await lives(lab, rounds, rhythm))
        finally:
            lab.kill()


def takeovers(director: Director, result: DrillResult) -> list[dict[str, float]]:
    """One row for each fault that clients noticed: its outage and the pieces of it, in milliseconds."""
    chronicle = director.chronicle
    running = [line for line in chronicle.stored if line.kind == EventKind.QM_RUNNING]
    rows = []
    for mark, fault in zip(director.stage.faults, result.faults, strict=True):
        back = next((line for line in running if chronicle.at_ns(line) >= mark.at_ns - NS_PER_MS), None)
        if fault.detect_ms is None or back is None:
            continue
        rows.append(
            {
                "outage": fault.outage_ms,
                "detect": fault.detect_ms,
                "decide": fault.decide_ms or 0.0,
                "storage": float(str(back.fields["claim_ms"])),
                "start": float(str(back.fields["start_ms"])),
                "endpoint": fault.client_ms or 0.0,
            }
        )
    return rows


async def lives(lab: Lab, rounds: int, rhythm: Rhythm) -> list[Bare]:
    """Of the broker alone, each on the data that the drill left behind."""
    spec = lab.cluster.queue_managers[0]
    left = Place.of(spec, lab.directory / "bare", "127.0.0.1")
    found = []
    for turn in range(rounds):
        data = Path(shutil.copytree(left.data_dir, lab.directory / f"bare-{turn}"))
        place = structs.replace(left, port=14222, data_dir=data)
        found.append(await life_of(spec.kind, place, rhythm))
    return found


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Minimum, median and maximum, in milliseconds."""
    if not values:
        return {"n": 0}
    return {
        "n": len(values),
        "min": round(min(values), 1),
        "median": round(median(values), 1),
        "max": round(max(values), 1),
    }
