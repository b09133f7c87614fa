"""How long clients of each kind of queue manager are without service: node death, its own death, planned move.

    python bench/brokers.py [--rounds 10] [--kind rabbitmq ...] [--profile fast]

A client publishes through `standfast proxy` and waits for acknowledgements. Beside it, in the same run: how long that
broker takes to start by itself on the same data. Writes bench/results/brokers.json; `bench/page.py` makes the
table in docs/measured.md. Kinds that are not measured now keep their figures of before.
"""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from figures import pair, results, save
from lab_run import drill

from standfast.drill.director import Rhythm
from standfast.model.timing import PROFILES

KINDS = ("nats", "mosquitto", "activemq", "rabbitmq")
ACTS = ("kill-node", "kill-queue-manager", "move")
PROFILE, ROUNDS = "fast", 10
EVERY_MS = {"nats": 5, "mosquitto": 10, "activemq": 10, "rabbitmq": 10}
"""As fast as each goes on with on one disk; the shortest outage that is seen is two of them and a retry."""


async def measure(kind: str, act: str, profile: str, rounds: int) -> dict[str, Any]:
    """One act on one kind."""
    rhythm = Rhythm(every_ms=EVERY_MS[kind], retry_ms=20, steady_s=1.0)
    played = await drill(profile, act, rounds, kind, rhythm)
    head = {"kind": kind, "profile": profile, "act": act, "term_ms": PROFILES[profile].term_ms}
    return head | played.figures()


async def measure_all(kinds: Sequence[str], profile: str, rounds: int) -> list[dict[str, Any]]:
    """Each act on each kind, a line printed for each."""
    found = []
    for kind in kinds:
        for act in ACTS:
            one = await measure(kind, act, profile, rounds)
            found.append(one)
            print(
                f"{kind:10} {act:20} n={one['outage']['n']:<3} outage {pair(one['outage'])} ms   bare start "
                f"{pair(one['bare_start'])}   acked {one['acked']}  lost {one['lost']}  doubled {one['doubled']}  "
                f"{one['verdict']}",
                flush=True,
            )
            for breach in one["breaches"]:
                print("  broken:", breach)
    return found


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of docs/measured.md."""
    found = [
        "## Kinds of queue managers",
        "",
        f"Profile `{figures[0]['profile']}`, lease {figures[0]['term_ms']} ms. A client publishes through the proxy to",
        "what the kind's page calls durable. `bare start`: the same broker by itself on the same data, in the same",
        "run. Mosquitto acknowledges before it saves, so that losses break no promise. What is shorter than two",
        "messages and a retry (30 to 40 ms) can not be told from chance, and counts as no outage.",
        "",
        "| kind | what happened | n | outage | bare start | acknowledged | lost | doubled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        counts = f"{one['acked']} | {one['lost']} | {one['doubled']}"
        times = f"{one['outage']['n']} | {pair(one['outage'])} | {pair(one['bare_start'])}"
        found.append(f"| {one['kind']} | {one['act']} | {times} | {counts} |")
    return found


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--profile", default=PROFILE, choices=tuple(PROFILES))
    parser.add_argument("--note", default="", help="what else is to be known of this run, such as other work beside it")
    parser.add_argument("--kind", action="append", choices=KINDS)
    given = parser.parse_args()
    kinds = given.kind or KINDS
    measured = asyncio.run(measure_all(kinds, given.profile, given.rounds))
    before = results().get("brokers", {"figures": []})["figures"]
    rows: dict[str, list[dict[str, Any]]] = {one["kind"]: [] for one in (*before, *measured)}
    for one in (*(one for one in before if one["kind"] not in kinds), *measured):
        rows[one["kind"]].append(one)
    figures = [one for kind in KINDS for one in rows.get(kind, ())]
    print(f"written: {save('brokers', figures, given.note)}")


if __name__ == "__main__":
    main()
