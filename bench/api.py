"""What the page weighs, how soon it is painted, and how many requests a member's API answers while heartbeats go on.

    python bench/api.py [--seconds 10] [--loads 10] [--profile fast] [--json FILE]

Needs chromium, and root to hear heartbeats on the loopback device. Members, load and browser share this machine; the
load is as nice as the API. Under load the gap between two heartbeats of the member that runs the queue manager is what
counts: a lease ends when it grows towards the term. Other loads: bench/jitter.py.
"""

import argparse
import asyncio
import json
import os
import ssl
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from ear import Ear, gaps_ms, opened, spread_of
from steadiness import ALARMS, told

from standfast.lab.lab import Lab
from standfast.lab.plan import STATE, TRUST, plan
from standfast.tokens import Right, TokenFile
from standfast.trust import CA_CERTIFICATE
from tests.real.api.browser import Page, browsing

CLIENTS = 32
FOLLOWERS = 60
NICE = 10
Load = Callable[["Target", asyncio.Event], Coroutine[Any, Any, int]]


class Target:
    """The API that is asked."""

    def __init__(self, lab: Lab, member: str, token: str) -> None:
        spec = lab.cluster.member(member)
        self.base = f"https://{spec.addresses[0]}:{spec.api_port}"
        self.tls = ssl.create_default_context(cafile=lab.directory / TRUST / "a" / CA_CERTIFICATE)
        self.token = token

    def session(self, *, good: bool = True, keep: bool = True) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.tls, limit=0, force_close=not keep)
        headers = {"Authorization": f"Bearer {self.token if good else self.token[::-1]}"}
        return aiohttp.ClientSession(connector=connector, headers=headers)


async def _asking(target: Target, over: asyncio.Event, *, path: str, keep: bool, wrong: bool = False) -> int:
    """Requests that were answered, by CLIENTS at once, each as fast as it can."""
    done = 0

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while not over.is_set():
            try:
                async with session.get(target.base + path) as answer:
                    await answer.read()
                    done += 1
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.01)

    async with target.session(good=not wrong, keep=keep) as session, asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(one(session))
    return done


async def requests(target: Target, over: asyncio.Event) -> int:
    return await _asking(target, over, path="/api/v1/status", keep=True)


async def handshakes(target: Target, over: asyncio.Event) -> int:
    return await _asking(target, over, path="/api/v1/session", keep=False)


async def strangers(target: Target, over: asyncio.Event) -> int:
    return await _asking(target, over, path="/api/v1/status", keep=True, wrong=True)


async def followers(target: Target, over: asyncio.Event) -> int:
    """Looks that followers got."""
    got = 0

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal got
        async with session.get(f"{target.base}/api/v1/stream") as answer:
            answer.raise_for_status()
            while not over.is_set() and (said := await answer.content.readany()):
                got += said.count(b"event: look")

    async with target.session() as session, asyncio.TaskGroup() as tasks:
        for _ in range(FOLLOWERS):
            tasks.create_task(one(session))
    return got


async def quiet(_: Target, over: asyncio.Event) -> int:
    await over.wait()
    return 0


# Strangers last: their address is not looked at for a while after it.
LOADS: tuple[Load, ...] = (quiet, requests, handshakes, followers, strangers)


async def under(load: Load, lab: Lab, target: Target, owner: str, seconds: float) -> dict[str, Any]:
    """Heartbeats of the owner at the witness while this load is on."""
    before = await told(lab)
    ear = Ear(lab.cluster.member(owner).heartbeat_port)
    over = asyncio.Event()
    ear.start()
    loading = asyncio.create_task(load(target, over))
    await asyncio.sleep(seconds)
    heard = ear.end()
    over.set()
    answered = await loading
    timing = lab.cluster.timing
    gaps = spread_of(gaps_ms(opened(heard, lab.cluster, lab.directory / TRUST), owner))
    after = await told(lab)
    return {
        "load": load.__name__,
        "per_s": round(answered / seconds, 1),
        "gaps_ms": gaps,
        "interval_ms": timing.interval_ms,
        "term_ms": timing.term_ms,
        "alarms": sum(after[kind] - before[kind] for kind in ALARMS),
    }


async def paint(page: Page, target: Target) -> dict[str, float]:
    """One load of the page by somebody who is logged in, with nothing in the browser's cache."""
    page.loaded.clear()
    await page.do("Network.setCacheDisabled", cacheDisabled=True)
    await page.do("Page.navigate", url="about:blank")
    await page.go(f"{target.base}/")
    await page.until("document.querySelectorAll('.member').length === 3")
    live = await page.run("performance.now()")
    first = await page.until("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    files = await page.run(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".filter(one => !one.name.includes('/stream')).map(one => one.transferSize)"
    )
    return {"requests": len(files) + 1, "bytes": sum(files), "first_paint_ms": first, "live_ms": live}


async def weigh(target: Target, loads: int) -> dict[str, Any]:
    """The page, loaded so many times."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        async with browsing(Path(directory)) as page:
            await page.go(f"{target.base}/")
            login = json.dumps({"token": target.token})
            await page.run(
                "fetch('/api/v1/session', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
                f"body: {login!r}}}).then(answer => answer.status)"
            )
            found = [await paint(page, target) for _ in range(loads)]
    firsts, lives = ([one[key] for one in found] for key in ("first_paint_ms", "live_ms"))
    return {
        "loads": loads,
        "requests": found[-1]["requests"],
        "bytes": found[-1]["bytes"],
        "first_paint_median_ms": round(statistics.median(firsts), 1),
        "first_paint_max_ms": round(max(firsts), 1),
        "live_median_ms": round(statistics.median(lives), 1),
        "live_max_ms": round(max(lives), 1),
    }


@asynccontextmanager
async def cluster(profile: str) -> AsyncIterator[tuple[Lab, Target, str]]:
    """A lab with its APIs, who owns the queue manager, and that one's API."""
    with tempfile.TemporaryDirectory(prefix="standfast-api-") as directory:
        plan(Path(directory), name="api", profile=profile, api=True)
        lab = Lab(Path(directory))
        try:
            lab.up()
            await lab.until_whole()
            owner = (await lab.until_running("orders")).owner
            assert owner is not None
            token = TokenFile(Path(directory) / STATE / owner).create("bench", Right.VIEWER, 1)
            target = Target(lab, owner, token)
            async with target.session() as session, asyncio.timeout(30):
                while True:
                    try:
                        async with session.get(f"{target.base}/api/v1/status") as answer:
                            answer.raise_for_status()
                            break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.1)
            yield lab, target, owner
        finally:
            lab.kill()


async def measure(profile: str, seconds: float, loads: int) -> dict[str, Any]:
    """The page, then each load."""
    async with cluster(profile) as (lab, target, owner):
        page = await weigh(target, loads)
        os.nice(NICE)
        return {"page": page, "loads": [await under(load, lab, target, owner, seconds) for load in LOADS]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--profile", default="fast")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(measure(given.profile, given.seconds, given.loads))
    print("page  " + "  ".join(f"{key} {value}" for key, value in found["page"].items()))
    for one in found["loads"]:
        print("  ".join(f"{key} {value}" for key, value in one.items()))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
