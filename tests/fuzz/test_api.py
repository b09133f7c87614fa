"""The API of a real cluster against schemathesis: whatever it sends, answers are as described, and it costs nothing.

Orders that it happens to give are carried out; the cluster is put right at the end.
"""

import asyncio
import copy
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from standfast.api import limits, openapi
from standfast.lab.plan import TRUST
from standfast.member.control_protocol import Thaw, Undrain
from standfast.model.cluster import MemberSpec
from standfast.model.events import EventKind
from standfast.tokens import Right
from standfast.trust import CA_CERTIFICATE
from tests.real.api.asking import Person, api_process, person, serving, until_served
from tests.real.running import QM, Running, lasting

SECONDS = int(os.environ.get("STANDFAST_FUZZ_S", "60"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Running]:
    yield from lasting(serving(tmp_path_factory.mktemp("fuzz")))


def fuzz(cluster: Running, directory: Path, described: dict, *arguments: str, seconds: int = SECONDS) -> None:
    """Run it on the witness's API; it must find nothing."""
    (directory / "openapi.json").write_bytes(msgspec.json.encode(described))
    names = {"path.member": "a", "path.queue_manager": QM}
    written = "".join(f'"{name}" = "{value}"\n' for name, value in names.items())
    (directory / "schemathesis.toml").write_text(f"[parameters]\n{written}", encoding="utf-8")
    done = subprocess.run(
        [
            *("schemathesis", "--config-file", str(directory / "schemathesis.toml"), "run", "--no-color"),
            *("--url", Person(cluster).url("w", ""), "--exclude-path", "/api/v1/stream"),
            *("--tls-verify", str(cluster.lab.directory / TRUST / "a" / CA_CERTIFICATE)),
            *("--phases", "coverage,fuzzing", "--max-time", str(seconds), "--continue-on-failure", *arguments),
            str(directory / "openapi.json"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def open_to_all() -> dict:
    """The description as for somebody whose token is good: schemathesis does not play with that then."""
    described = copy.deepcopy(openapi.description())
    for methods in described["paths"].values():
        for operation in methods.values():
            operation["security"] = []
    del described["components"]["securitySchemes"]
    return described


def described_for(right: Right) -> dict:
    described = open_to_all()
    if right is Right.VIEWER:
        described["paths"] = {
            path: looked for path, methods in described["paths"].items() if (looked := _without_orders(methods))
        }
    return described


def _without_orders(methods: dict) -> dict:
    return {method: one for method, one in methods.items() if "Needs: operator" not in one["description"]}


@pytest.mark.parametrize("right", list(Right))
async def test_answers_are_as_described_whatever_is_sent(cluster, tmp_path, right):
    somebody = person(cluster, f"fuzz-{right}", right)
    pids = {member: api_process(cluster, member) for member in "abw"}
    fuzz(cluster, tmp_path, described_for(right), "-H", f"Authorization: {somebody.headers['Authorization']}")
    assert {member: api_process(cluster, member) for member in "abw"} == pids
    events = (await somebody.ask("GET", "/events?limit=5000")).body
    begun = max((n for n, one in enumerate(events) if one["kind"] == EventKind.LEASE_REGAINED), default=0)
    assert [one for one in events[begun:] if one["kind"] in {EventKind.LEASE_LOST, EventKind.LINK_LOST}] == []
    for order in (Thaw(), *map(Undrain, "abw")):
        await cluster.order(order)
    await cluster.lab.until_whole()
    await cluster.queue_manager()
    await cluster.audit()


async def test_who_holds_all_connections_and_says_nothing_is_shown_out(cluster):
    spec = cluster.lab.cluster.member("b")
    somebody = Person(cluster)
    held = await asyncio.gather(*(_greeted(somebody, spec) for _ in range(limits.MAX_CONNECTIONS)))
    with pytest.raises(aiohttp.ClientError):
        await somebody.ask("GET", "/session", member="b")
    began_s = time.monotonic()
    async with asyncio.timeout(2 * limits.IDLE_S):
        await until_served(somebody, "b")
    assert time.monotonic() - began_s > limits.IDLE_S / 3
    for writer in held:
        writer.close()


async def _greeted(who: Person, spec: MemberSpec) -> asyncio.StreamWriter:
    """A connection whose handshake is over."""
    return (await asyncio.open_connection(spec.addresses[0], spec.api_port, ssl=who.tls))[1]


async def test_who_has_no_token_gets_nowhere(cluster, tmp_path):
    fuzz(cluster, tmp_path, openapi.description(), seconds=max(5, SECONDS // 4))
    assert json.loads(json.dumps(await cluster.placing()))
