"""Everything that is measured, by one command; the figures go to bench/results/ and into docs/measured*.md.

python bench/run.py [--rounds 20] [--minutes 10] [--only takeover ...]

Not among it, as it takes hours: the campaign of the simulator, bench/campaign.py.
"""

import argparse
import asyncio
from typing import Any

import brokers
import cost
import cuts
import growth
import jitter
import many
import proxy
import scale
import simulator
import steadiness
import steady
import takeover
from figures import save
from page import PAGES, write

PROFILES = ("lan", "fast", "normal")


def measure_takeover(rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Each act on each profile."""
    return [asyncio.run(takeover.measure(profile, act, rounds)) for profile in PROFILES for act in takeover.ACTS]


def measure_brokers(rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Each act on each kind of queue manager."""
    return asyncio.run(brokers.measure_all(brokers.KINDS, brokers.PROFILE, min(rounds, brokers.ROUNDS)))


def measure_cost(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Cost of a member to which nothing happens."""
    return [asyncio.run(cost.measure(members, count, profile, 60.0)) for profile, members, count in cost.SIZES]


def measure_steadiness(_rounds: int, minutes: float) -> list[dict[str, Any]]:
    """False alarms under load."""
    return [asyncio.run(steadiness.measure(profile, minutes)) for profile in PROFILES]


def measure_simulator(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Speed of the simulator."""
    return simulator.measure(with_compiled=True)


def measure_scale(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """A thousand queue managers on seven members."""
    return [asyncio.run(scale.measure(scale.MEMBERS, scale.QUEUE_MANAGERS, scale.ON_ONE))[0]]


def measure_growth(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """How the core's cost grows."""
    return [growth.measure(members, count) for members, count in growth.sizes()]


def measure_many(_rounds: int, _minutes: float) -> dict[str, Any]:
    """Hundreds of queue managers taken over at once."""
    return asyncio.run(many.measure(200, None, "normal", 3))


def measure_cuts(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Real cuts."""
    return cuts.measure()


def measure_steady(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """What clients pay while nothing happens."""
    return asyncio.run(steady.measure_all(tuple(steady.AMOUNTS), steady.ROUNDS, steady.BYTES))


def measure_proxy(_rounds: int, _minutes: float) -> dict[str, Any]:
    """The proxy by itself."""
    return proxy.measure()


def measure_jitter(_rounds: int, _minutes: float) -> list[dict[str, Any]]:
    """Heartbeats under load."""
    return jitter.measure_all(jitter.SETTINGS, tuple(jitter.LOADS), jitter.SECONDS)


MEASURES = {
    "takeover": measure_takeover,
    "brokers": measure_brokers,
    "many": measure_many,
    "cuts": measure_cuts,
    "cost": measure_cost,
    "steady": measure_steady,
    "proxy": measure_proxy,
    "jitter": measure_jitter,
    "scale": measure_scale,
    "growth": measure_growth,
    "steadiness": measure_steadiness,
    "simulator": measure_simulator,
}


def main() -> None:
    """Measure, write the figures, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", action="append", choices=tuple(MEASURES))
    given = parser.parse_args()
    for part in given.only or MEASURES:
        print(f"measuring: {part}", flush=True)
        save(part, MEASURES[part](given.rounds, given.minutes))
    write()
    print(f"written: {', '.join(map(str, PAGES))}")


if __name__ == "__main__":
    main()
