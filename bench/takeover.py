"""How long clients are without service: node death, death of the queue manager, planned move; on each profile.

    python bench/takeover.py [--rounds 20] [--profile fast --profile normal] [--json FILE]

A client publishes every 5 ms and retries every 20 ms, through `standfast proxy`, to a real NATS JetStream server that
syncs every write. Beside it, in the same run: how long that server takes to start by itself on the same data.
"""

import argparse
import asyncio
import json
from pathlib import Path
from statistics import median
from typing import Any

from lab_run import PIECES, Played, drill, spread

from standfast.model.timing import PROFILES

ACTS = ("kill-node", "kill-queue-manager", "move")


async def measure(profile: str, act: str, rounds: int) -> dict[str, Any]:
    """One act on one profile."""
    played = await drill(profile, act, rounds)
    return {
        "profile": profile,
        "act": act,
        "term_ms": PROFILES[profile].term_ms,
        **played.figures(),
        "beyond": spread(beyond_ms(act, played)),
        "runs": [{name: round(ms, 1) for name, ms in row.items()} for row in played.rows],
        "environment": played.results[0].environment,
    }


def beyond_ms(act: str, played: Played) -> list[float]:
    """What is left of each outage without its detection, the bare broker's start and, of a move, its stop."""
    own = median(life.start for life in played.bare)
    own += median(life.stop for life in played.bare) if act == "move" else 0.0
    return [row["outage"] - row["detect"] - own for row in played.rows]


def main() -> None:
    """Measure and print a line for each act and profile; with --json write it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--profile", action="append", choices=tuple(PROFILES))
    parser.add_argument("--act", action="append", choices=ACTS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    for profile in given.profile or ("fast", "normal"):
        for act in given.act or ACTS:
            one = asyncio.run(measure(profile, act, given.rounds))
            found.append(one)
            pieces = "  ".join(
                f"{name} {one[name].get('median')}" for name in (*PIECES, "bare_start", "bare_stop", "beyond")
            )
            print(
                f"{profile:9} {act:20} n={one['outage']['n']:<3} outage median {one['outage'].get('median')} "
                f"max {one['outage'].get('max')} ms   {pieces}   lost {one['lost']}  {one['verdict']}",
                flush=True,
            )
            for breach in one["breaches"]:
                print("  broken:", breach)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
