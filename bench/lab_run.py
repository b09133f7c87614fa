"""Running drills on a lab again and again, and what each takeover cost, piece by piece."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bare import NS_PER_MS, Bare, life_of
from msgspec import structs

from standfast.drill.acts import BY_NAME
from standfast.drill.director import Director, Rhythm
from standfast.drill.on_lab import on_lab
from standfast.drill.result import DrillResult
from standfast.lab.lab import Lab
from standfast.lab.plan import plan
from standfast.model.events import EventKind
from standfast.ports import Place

PIECES = ("detect", "decide", "storage", "start", "endpoint")
KILLS_APART_S = 0.5
"""Kills of the queue manager further apart than this are each its first: none waits, none moves it."""
RHYTHM = Rhythm(every_ms=5, retry_ms=20, steady_s=0.6)


async def drill(
    profile: str, act: str, rounds: int, kind: str = "nats", rhythm: Rhythm = RHYTHM
) -> tuple[DrillResult, list[dict[str, float]], list[Bare]]:
    """Play one act so many times on a fresh lab.

    Gives the drill's result, a row of milliseconds for each time, and lives of the bare broker on the same data.
    """
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
            return result, rows, await lives(lab, rounds, rhythm)
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
    """Of the broker alone, on the data that the drill left behind."""
    spec = lab.cluster.queue_managers[0]
    place = structs.replace(Place.of(spec, lab.directory / "bare", "127.0.0.1"), port=14222)
    return [await life_of(spec.kind, place, rhythm) for _ in range(rounds)]


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
