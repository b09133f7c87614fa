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


def page(results: dict[str, Any]) -> str:
    """docs/measured.md from whatever has been measured so far."""
    lines = [
        "# Measured",
        "",
        "Written by `make bench` (bench/run.py) from the files in bench/results/. Times in milliseconds, as median and",
        "maximum. All members share one machine and one disk; real networks add their round trips.",
        "",
    ]
    for part, section in (
        ("takeover", takeover_lines),
        ("brokers", brokers.lines),
        ("idle", idle_lines),
        ("steadiness", steadiness_lines),
        ("simulator", simulator_lines),
    ):
        if part in results:
            found = results[part]
            lines += [*section(found["figures"]), "", f"Measured on {found['on']}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def takeover_lines(figures: list[dict[str, Any]]) -> list[str]:
    """Two tables: outages, and the pieces of them."""
    lines = [
        "## Outage seen by a client",
        "",
        "A client publishes every 5 ms and retries every 20 ms, through `standfast proxy`, to a NATS JetStream server",
        "that syncs every write. `bare start`: the same server started by itself on the same data, in the same run.",
        "",
        "| profile | term | what happened | n | outage | bare start | acknowledged | lost | doubled |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['profile']} | {one['term_ms']} | {one['act']} | {one['outage']['n']} | {_pair(one['outage'])} | "
        f"{_pair(one['bare_start'])} | {one['acked']} | {one['lost']} | {one['doubled']} |"
        for one in figures
    ]
    lines += [
        "",
        "Where the time goes: until it was known (detect), until the owner began (decide), until the storage was",
        "claimed and the process executed (storage), until it answered its owner (start), until the client had it",
        "(endpoint).",
        "",
        f"| profile | what happened | {' | '.join(PIECES)} |",
        f"|---|---|{'---|' * len(PIECES)}",
    ]
    for one in figures:
        cells = " | ".join(_pair(one[piece]) for piece in PIECES)
        lines.append(f"| {one['profile']} | {one['act']} | {cells} |")
    return lines


def idle_lines(figures: dict[str, Any]) -> list[str]:
    """Processor and memory by part."""
    lines = [
        "## Cost of a member while nothing happens",
        "",
        "Percent of one core; resident memory (RSS) and its share where pages are shared (PSS), in MiB. `helpers` are",
        "the warden's backstop and the storage prober's children.",
        "",
        "| profile | member | part | core % | RSS | PSS |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {profile} | {member} | {part} | {cost['cpu_percent']} | {cost['rss_mib']} | {cost['pss_mib']} |"
        for profile, members in figures.items()
        for member, parts in members.items()
        for part, cost in parts.items()
    ]
    return lines


def steadiness_lines(figures: dict[str, Any]) -> list[str]:
    """False alarms."""
    alarms = ", ".join(f"{name} {count}" for name, count in figures.items() if name not in ("profile", "minutes"))
    return [
        "## False alarms",
        "",
        f"Profile {figures['profile']}, {figures['minutes']:g} minutes, a busy loop on every processor: {alarms}.",
    ]


def simulator_lines(figures: dict[str, Any]) -> list[str]:
    """Speed."""
    lines = ["## Simulator", "", "Three members, faults all the time, one core.", ""]
    lines += ["| profile | simulated hours | times real time | broken |", "|---|---|---|---|"]
    lines += [
        f"| {profile} | {one['simulated_s'] / 3600:.2f} | {one['speed']:,.0f} | {len(one['broken'])} |"
        for profile, one in figures.items()
    ]
    return lines


def readme(text: str, figures: list[dict[str, Any]]) -> str:
    """The README with its short table of outages."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    lines = [
        "| outage seen by a client, median / maximum of 20 | `fast` (lease 0.8 s) | `normal` (lease 2.5 s) | lost |",
        "|---|---|---|---|",
    ]
    for act, words in ACTS.items():
        rows = {one["profile"]: one for one in figures if one["act"] == act}
        cells = " | ".join(f"{_pair(rows[profile]['outage'])} ms" for profile in PROFILES)
        lines.append(f"| {words} | {cells} | {sum(one['lost'] for one in rows.values())} |")
    return f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{tail}"


def _pair(spread: dict[str, Any]) -> str:
    return f"{spread['median']} / {spread['max']}" if spread["n"] else "-"


def machine() -> str:
    """What it was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    today = datetime.now(UTC).date().isoformat()
    return f"{today}: {os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"


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
