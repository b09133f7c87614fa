"""What clients pay for Standfast while nothing happens: rate and time of acknowledged messages, by each way to them.

    python bench/steady.py [--rounds 50] [--kind rabbitmq ...] [--bytes 200] [--note ...]

Members and the client on machines of their own (network namespaces on one bridge; needs root). Ways: `bare`, the same
broker with the same configuration, started by hand; under Standfast `direct` on its owner's address, by its virtual IP
(`vip`), and through `standfast proxy` beside the client (`proxy`). One client goes to bare, direct, bare, vip, bare,
proxy and so on, a fraction of a second each, so that whatever else the machine does meets all of them; a ratio is of
two turns of one round. The data are in memory (/dev/shm), so that no disk hides what a way costs: on a disk a broker
spends most of its time syncing.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import msgspec
from bare import bare_broker
from closed_loop import Order, Turn
from figures import HERE, prose, results, save
from msgspec import structs

from standfast.drill.endpoint import own_proxy
from standfast.drill.record import LoadSettings
from standfast.lab.lab import Lab
from standfast.lab.network import CLIENT
from standfast.lab.plan import CLUSTER_FILE, plan
from standfast.ports import Place

ROUNDS, WARM_UP, BYTES = 50, 10, 200
MEMORY = "/dev/shm"  # noqa: S108 - a directory of its own is made in it
VIP = "10.77.0.100"
ENDPOINT = f'[[queue_manager.endpoints]]\nkind = "vip"\naddress = "{VIP}"\n'
WAYS = ("bare", "direct", "vip", "proxy")
OPTIONS = {"mosquitto": {"autosave_changes": 10_000}}
"""Mosquitto writes its whole database at each save, which would be most of what is measured."""
TURNS = ("bare", "direct", "bare", "vip", "bare", "proxy")
"""Both brokers keep equally many messages by this."""
P99 = 0.99


class Amount(NamedTuple):
    """In one turn: messages one by one, then many with so many in flight. About a tenth of a second for each."""

    singles: int
    many: int
    window: int


AMOUNTS = {
    "nats": Amount(singles=50, many=1_500, window=64),
    "mosquitto": Amount(singles=30, many=1_000, window=64),
    "activemq": Amount(singles=30, many=300, window=64),
    "rabbitmq": Amount(singles=30, many=800, window=64),
}


@asynccontextmanager
async def reached(kind: str) -> AsyncIterator[tuple[Lab, dict[str, tuple[str, int]]]]:
    """A lab whose queue manager runs, with the bare broker on the other data member's machine: address by way."""
    with tempfile.TemporaryDirectory(prefix="standfast-steady-", dir=MEMORY) as directory:
        plan(Path(directory), name="steady", profile="normal", kind=kind, namespaces=True, options=OPTIONS.get(kind))
        with (Path(directory) / CLUSTER_FILE).open("a", encoding="utf-8") as file:
            file.write(ENDPOINT)
        lab = Lab(Path(directory))
        try:
            lab.up()
            await lab.until_whole()
            spec = lab.cluster.queue_managers[0]
            owner = (await lab.until_running(spec.name)).owner
            assert owner is not None
            other = "ab".replace(owner, "")
            place = Place.of(spec, lab.directory / "bare", lab.cluster.member(other).clients)
            place = structs.replace(place, data_dir=lab.directory / "bare-data")
            proxy = own_proxy(lab.directory / CLUSTER_FILE, spec.name, lab.inside(CLIENT))
            async with AsyncExitStack() as opened:
                await opened.enter_async_context(bare_broker(kind, place, lab.inside(other)))
                through = await opened.enter_async_context(proxy)
                at = {
                    "bare": (place.address, spec.port),
                    "direct": (lab.cluster.member(owner).clients, spec.port),
                    "vip": (VIP, spec.port),
                    "proxy": (through.address, through.port),
                }
                yield lab, at
        finally:
            lab.kill()


async def turns(lab: Lab, at: dict[str, tuple[str, int]], rounds: int, message_bytes: int) -> list[list[Turn]]:
    """Measured by a client process on the machine for clients."""
    spec = lab.cluster.queue_managers[0]
    amount = AMOUNTS[spec.kind]
    ways = [
        LoadSettings(
            kind=spec.kind,
            address=at[way][0],
            port=at[way][1],
            run=way,
            consumers=0,
            message_bytes=message_bytes,
            window=amount.window,
            user=str(spec.options.get("user", "")),
            password_file=str(spec.options.get("password_file", "")),
        )
        for way in WAYS
    ]
    order = Order(
        ways=ways,
        turns=[WAYS.index(way) for way in TURNS],
        rounds=rounds,
        singles=amount.singles,
        many=amount.many,
    )
    process = await asyncio.create_subprocess_exec(
        *lab.inside(CLIENT),
        *(sys.executable, str(HERE / "closed_loop.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        said, _ = await process.communicate(msgspec.json.encode(order))
    finally:
        if process.returncode is None:
            process.kill()
    return msgspec.json.decode(said, type=list[list[Turn]])


async def measure(kind: str, rounds: int, message_bytes: int) -> dict[str, Any]:
    """One kind, all ways in turn; the first rounds, in which programs warm up, do not count."""
    async with reached(kind) as (lab, at):
        found = (await turns(lab, at, rounds + WARM_UP, message_bytes))[WARM_UP:]
    by_way = {way: [turn for one in found for turn in one if turn.way == index] for index, way in enumerate(WAYS)}
    return {
        "kind": kind,
        "rounds": rounds,
        "message_bytes": message_bytes,
        "window": AMOUNTS[kind].window,
        "ways": {way: summed(of_way) | ratios(found, index) for index, (way, of_way) in enumerate(by_way.items())},
    }


def summed(of_way: Sequence[Turn]) -> dict[str, Any]:
    """Medians over all turns of a way; single messages of all turns together."""
    times = sorted(time for turn in of_way for time in turn.times_us)
    return {
        "per_s": round(median(turn.per_s for turn in of_way)),
        "median_us": round(median(times)),
        "p99_us": times[int(len(times) * P99)],
        "busy": round(median(turn.busy for turn in of_way), 2),
    }


def ratios(found: Sequence[Sequence[Turn]], way: int) -> dict[str, dict[str, float]]:
    """Of a way to others of the same round."""
    bare, direct = WAYS.index("bare"), WAYS.index("direct")
    return {
        "rate_to_bare": ratio(found, way, bare, _rate),
        "rate_to_direct": ratio(found, way, direct, _rate),
        "time_to_bare": ratio(found, way, bare, _time),
        "time_to_direct": ratio(found, way, direct, _time),
    }


def ratio(found: Sequence[Sequence[Turn]], way: int, other: int, value: Callable[[Turn], float]) -> dict[str, float]:
    """Median over the rounds, and between which bounds half of the rounds are."""

    def of(one: Sequence[Turn], wanted: int) -> float:
        return median(value(turn) for turn in one if turn.way == wanted)

    low, middle, high = quantiles([of(one, way) / of(one, other) for one in found], n=4)
    return {"low": round(low, 2), "median": round(middle, 2), "high": round(high, 2)}


def _rate(turn: Turn) -> float:
    return turn.per_s


def _time(turn: Turn) -> float:
    return median(turn.times_us)


async def measure_all(kinds: Sequence[str], rounds: int, message_bytes: int) -> list[dict[str, Any]]:
    """Each kind, printed as it comes; kinds that are not measured now keep their figures of before."""
    measured = {}
    for kind in kinds:
        measured[kind] = await measure(kind, rounds, message_bytes)
        for line in rows(measured[kind]):
            print(line, flush=True)
    before = {one["kind"]: one for one in results().get("steady", {"figures": []})["figures"]}
    both = before | measured
    return [both[kind] for kind in AMOUNTS if kind in both]


def rows(one: Mapping[str, Any]) -> list[str]:
    """A line of the table for each way."""
    return [
        f"| {one['kind']} | {way} | {found['per_s']:,} | {shown(found['rate_to_bare'])} | "
        f"{found['rate_to_direct']['median']:.2f} | {found['median_us']:,} / {found['p99_us']:,} | "
        f"{shown(found['time_to_bare'])} | {found['time_to_direct']['median']:.2f} | {found['busy']:.2f} |"
        for way, found in one["ways"].items()
    ]


def shown(one: Mapping[str, float]) -> str:
    """A ratio with its spread."""
    return f"{one['median']:.2f} ({one['low']:.2f}-{one['high']:.2f})"


def lines(figures: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    first, rounds = figures[0], min(one["rounds"] for one in figures)
    return [
        "## Steady state",
        "",
        *prose(
            f"""Messages of {first["message_bytes"]} bytes, each acknowledged as durable as the kind's page says; but
            the data are in memory, so that no disk hides what a way costs. `rate`: with {first["window"]} of them
            in flight; `time`: one at a time, in microseconds, median / 99 %. Ways: the bare broker, started by hand
            with the same configuration; under Standfast on its owner's address, by its virtual IP, and through
            `standfast proxy` beside the client. One client goes to them in turn, a tenth of a second each; ratios
            are within one of at least {rounds} rounds: the median, and the bounds of the middle half. `busy`:
            processor seconds that the client itself took for each second of the rate."""
        ),
        "",
        "| kind | way | rate, 1/s | to bare | to direct | time, median / p99 | to bare | to direct | busy |",
        "|---|---|---:|---|---:|---:|---|---:|---:|",
        *(line for one in figures for line in rows(one)),
    ]


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--bytes", type=int, default=BYTES)
    parser.add_argument("--kind", action="append", choices=tuple(AMOUNTS))
    parser.add_argument("--note", default="", help="what else is to be known of this run, such as other work beside it")
    given = parser.parse_args()
    for kind in given.kind or tuple(AMOUNTS):
        figures = asyncio.run(measure_all((kind,), given.rounds, given.bytes))
        print(f"written: {save('steady', figures, given.note)}")


if __name__ == "__main__":
    main()
