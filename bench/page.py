"""docs/measured*.md and the table of the README, written from the figures in bench/results/.

python bench/page.py
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import brokers
import campaign
import cost
import cuts
import growth
import jitter
import many
import proxy
import scale
import simulator
import steady
import timelines
from figures import PAGE, README, SCALE_PAGE, STEADY_PAGE, pair, results
from lab_run import PIECES

Section = Callable[[Any], list[str]]

BEGIN, END = "<!-- measured: table -->", "<!-- end measured -->"
ACTS = {"kill-node": "node loses power", "kill-queue-manager": "queue manager killed", "move": "planned move"}


def page(title: str, intro: tuple[str, ...], sections: dict[str, Section], results: dict[str, Any]) -> str:
    """One page from whatever has been measured so far."""
    lines = [f"# {title}", "", *intro, ""]
    for part, section in sections.items():
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
        "that syncs every write. `start`, `stop`: of the same server by itself, under the same load, in the same run.",
        "`beyond`: what is left of each outage without its detection, that start and, of a move, that stop.",
        "",
        "| profile | term | what happened | n | outage | start | stop | beyond | acknowledged | lost | doubled |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['profile']} | {one['term_ms']} | {one['act']} | {one['outage']['n']} | {pair(one['outage'])} | "
        f"{pair(one['bare_start'])} | {pair(one['bare_stop'])} | {pair(one['beyond'])} | "
        f"{one['acked']} | {one['lost']} | {one['doubled']} |"
        for one in figures
    ]
    lines += [f"- {one['profile']}, {one['act']}: {breach}" for one in figures for breach in one["breaches"]]
    lines += [
        "",
        "Where the time goes: until it was known (detect), until the owner began (decide), until the storage was",
        "claimed and the process executed (storage), until it answered its owner (start), until the client had it",
        "(endpoint). Each run by itself:",
        "",
        "![Takeovers, piece by piece](takeovers.svg)",
        "",
        f"| profile | what happened | {' | '.join(PIECES)} |",
        f"|---|---|{'---|' * len(PIECES)}",
    ]
    for one in figures:
        cells = " | ".join(pair(one[piece]) for piece in PIECES)
        lines.append(f"| {one['profile']} | {one['act']} | {cells} |")
    return lines


def steadiness_lines(figures: list[dict[str, Any]]) -> list[str]:
    """False alarms."""
    counted = [name for name in figures[0] if name not in ("profile", "minutes", "load")]
    lines = ["## False alarms", "", "Nothing happened to the cluster but that the processors were kept busy.", ""]
    lines += [f"| profile | minutes | {' | '.join(counted)} | load |", f"|---|---|{'---|' * len(counted)}---|"]
    for one in figures:
        counts = " | ".join(str(one[name]) for name in counted)
        lines.append(f"| {one['profile']} | {one['minutes']:g} | {counts} | {one['load']} |")
    return lines


def readme(text: str, figures: list[dict[str, Any]]) -> str:
    """The README with its short table of outages."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    terms = {one["profile"]: one["term_ms"] for one in figures}
    titles = " | ".join(f"`{profile}` (lease {term_ms / 1000:g} s)" for profile, term_ms in terms.items())
    rounds = max(one["outage"]["n"] for one in figures)
    lines = [
        f"| outage seen by a client, median / maximum of {rounds} | {titles} | lost |",
        f"|---|{'---|' * len(terms)}---|",
    ]
    for act, words in ACTS.items():
        rows = {one["profile"]: one for one in figures if one["act"] == act}
        cells = " | ".join(f"{pair(rows[profile]['outage'])} ms" for profile in terms)
        lines.append(f"| {words} | {cells} | {sum(one['lost'] for one in rows.values())} |")
    return f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{tail}"


PAGES: dict[Path, tuple[str, tuple[str, ...], dict[str, Section]]] = {
    PAGE: (
        "Measured",
        (
            "Written by `make bench` (bench/run.py) from the files in bench/results/. Times in milliseconds, as median",
            "and maximum. All members share one machine and one disk; real networks add their round trips. What it",
            "costs, how that grows, and how fast the simulator is: [cost and scale](measured-scale.md). What clients",
            "pay while nothing happens, and heartbeats under load: [steady state](measured-steady.md).",
        ),
        {
            "takeover": takeover_lines,
            "brokers": brokers.lines,
            "many": many.lines,
            "cuts": cuts.lines,
            "steadiness": steadiness_lines,
        },
    ),
    SCALE_PAGE: (
        "Measured: cost and scale",
        (
            "Written by `make bench` (bench/run.py), like [the rest](measured.md). All members share one machine of",
            "two cores, so that times of large clusters are upper bounds.",
        ),
        {
            "cost": cost.lines,
            "scale": scale.lines,
            "growth": growth.lines,
            "simulator": simulator.lines,
            "campaign": campaign.lines,
        },
    ),
    STEADY_PAGE: (
        "Measured: steady state",
        (
            "Written by `make bench` (bench/run.py), like [the rest](measured.md). Members, clients and loads share",
            "one machine of two cores. What is done for heartbeats under load: [jitter](jitter.md).",
        ),
        {
            "steady": steady.lines,
            "proxy": proxy.lines,
            "jitter": jitter.lines,
        },
    ),
}
"""Title, introduction and sections of each page."""


def write() -> None:
    """All pages and the README, from whatever has been measured so far."""
    found = results()
    for file, (title, intro, sections) in PAGES.items():
        file.write_text(page(title, intro, sections, found), encoding="utf-8")
    if "takeover" in found:
        timelines.draw(found["takeover"]["figures"])
        README.write_text(readme(README.read_text(encoding="utf-8"), found["takeover"]["figures"]), encoding="utf-8")


if __name__ == "__main__":
    write()
