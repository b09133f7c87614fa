"""What the page weighs, how soon it is painted, and how many requests a member's API answers while heartbeats go on.

    python bench/api.py [--seconds 10] [--loads 10] [--profile fast] [--json FILE]

Needs chromium, and root for reading heartbeats off the loopback device with the kernel's own timestamps. Members, load
and browser share this machine; the load is as nice as the API. Under load the gap between two heartbeats of the member
that runs the queue manager, at a peer, is what counts: a lease ends when it grows towards the term.
"""

import argparse
import asyncio
import itertools
import json
import os
import socket
import ssl
import statistics
import struct
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))

from steadiness import ALARMS, told

from standfast.lab.lab import Lab
from standfast.lab.plan import STATE, TRUST, plan
from standfast.model.cluster import MemberSpec
from standfast.tokens import Right, TokenFile
from standfast.trust import CA_CERTIFICATE
from tests.real.api.browser import Page, browsing

CLIENTS = 32
FOLLOWERS = 60
NICE = 10
ETH_P_IP = 0x0800
OUTGOING = 4
SO_TIMESTAMPNS = 35
FEW = 10
NS_PER_MS = 1e6
Load = Callable[["Target", asyncio.Event], Coroutine[Any, Any, int]]


class Heartbeats(threading.Thread):
    """When datagrams of one member to another passed, by their length."""

    def __init__(self, source: MemberSpec, to: MemberSpec) -> None:
        super().__init__(daemon=True)
        self._pair = (socket.inet_aton(source.addresses[0]), socket.inet_aton(to.addresses[0]))
        self._port = to.heartbeat_port
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._socket.bind(("lo", ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self.at_ns: dict[int, list[int]] = {}

    def run(self) -> None:
        while not self._over.is_set():
            try:
                data, extra, _, address = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            if address[2] == OUTGOING or data[23] != socket.IPPROTO_UDP or (data[26:30], data[30:34]) != self._pair:
                continue
            if struct.unpack("!H", data[36:38])[0] == self._port:
                seconds, nanos = struct.unpack("qq", extra[0][2][:16])
                self.at_ns.setdefault(len(data), []).append(seconds * 10**9 + nanos)

    def gaps_ms(self, interval_ms: int) -> list[float]:
        """Between heartbeats; they are the longest datagrams."""
        self._over.set()
        self.join()
        longest = max(length for length, times in self.at_ns.items() if len(times) > FEW)
        times = [at for length, found in self.at_ns.items() if length >= longest - 8 for at in found]
        times.sort()
        found = [(b - a) / NS_PER_MS for a, b in itertools.pairwise(times)]
        assert statistics.median(found) < 2 * interval_ms, "these are no heartbeats"
        return found


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
    heard = Heartbeats(lab.cluster.member(owner), lab.cluster.member("w"))
    over = asyncio.Event()
    heard.start()
    loading = asyncio.create_task(load(target, over))
    await asyncio.sleep(seconds)
    over.set()
    answered = await loading
    timing = lab.cluster.timing
    gaps = sorted(heard.gaps_ms(timing.interval_ms))
    after = await told(lab)
    return {
        "load": load.__name__,
        "per_s": round(answered / seconds, 1),
        "heartbeats": len(gaps),
        "gap_median_ms": round(statistics.median(gaps), 2),
        "gap_p99_ms": round(gaps[int(len(gaps) * 0.99)], 2),
        "gap_max_ms": round(gaps[-1], 2),
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
