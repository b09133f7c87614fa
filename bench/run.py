"""Everything that is measured, by one command; the figures go to bench/results/ and into docs/measured.md.

python bench/run.py [--rounds 20] [--minutes 10] [--only takeover ...]
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import brokers
import idle
import steadiness
import takeover
from lab_run import PIECES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "measured.md"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- measured: table -->", "<!-- end measured -->"
ACTS = {"kill-node": "node loses power", "kill-queue-manager": "queue manager killed", "move": "planned move"}
PARTS = ("takeover", "brokers", "idle", "steadiness", "simulator")
PROFILES = ("fast", "normal")
SIM_PROFILES = ("fast", "normal", "cautious")


def measure_takeover(rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Each act on each profile."""
    return [asyncio.run(takeover.measure(profile, act, rounds)) for profile in PROFILES for act in takeover.ACTS]


def measure_brokers(rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Each act on each kind of queue manager."""
    return asyncio.run(brokers.measure_all(brokers.KINDS, brokers.PROFILE, min(rounds, brokers.ROUNDS)))


def measure_idle(_rounds: int, _minutes: float) -> dict[str, Any]:
    """Cost of a member to which nothing happens."""
    return {profile: asyncio.run(idle.measure(profile, 60.0)) for profile in PROFILES}


def measure_steadiness(_rounds: int, minutes: float) -> dict[str, Any]:
    """False alarms under load."""
    return asyncio.run(steadiness.measure("fast", minutes))


def measure_simulator(_rounds: int, _minutes: float) -> dict[str, Any]:
    """Speed of the simulator on one core."""
    found = {}
    for profile in SIM_PROFILES:
        command = ["sim", "--seeds", "20", "--minutes", "10", "--members", "3", "--profile", profile, "--json"]
        done = subprocess.run([sys.executable, "-m", "standfast", *command], capture_output=True, check=True)
        found[profile] = json.loads(done.stdout)
    return found


MEASURES = {
    "takeover": measure_takeover,
    "brokers": measure_brokers,
    "idle": measure_idle,
    "steadiness": measure_steadiness,
    "simulator": measure_simulator,
}


def main() -> None:
    """Measure, write the figures, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--page", action="store_true", help="only write the page from the results that are there")
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for part in () if given.page else given.only or PARTS:
        print(f"measuring: {part}", flush=True)
        found = {"on": machine(), "figures": MEASURES[part](given.rounds, given.minutes)}
        (RESULTS / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    results = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in RESULTS.glob("*.json")}
    PAGE.write_text(page(results), encoding="utf-8")
    if "takeover" in results:
        text = readme(README.read_text(encoding="utf-8"), results["takeover"]["figures"])
        README.write_text(text, encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
