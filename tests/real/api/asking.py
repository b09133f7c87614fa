"""Asks a member's API as people and programs do."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from standfast.api.routes import BASE
from standfast.lab.plan import STATE, TRUST
from standfast.lab.processes import tree
from standfast.lab.reach import SETTLE_S
from standfast.tokens import Right, TokenFile
from standfast.trust import CA_CERTIFICATE, ssl_client_context
from tests.real.running import Running, started

LOOK_EVERY_S = 0.05
SECRET = "1021KB"
"""An option of the queue manager: as such it may be a password, and is told nobody."""
NOW_MS = 1_795_362_001_123


class Said(NamedTuple):
    """An answer."""

    status: int
    body: Any
    headers: Any


class Person:
    """Somebody at an address, with a token or a member's certificate or neither."""

    def __init__(self, cluster: Running, *, token: str = "", certificate_of: str = "", at: str = "127.0.84.1"):
        self.cluster = cluster
        self.at = at
        trust = cluster.lab.directory / TRUST
        if certificate_of:
            self.tls = ssl_client_context(trust / certificate_of)
        else:
            self.tls = ssl.create_default_context(cafile=trust / "a" / CA_CERTIFICATE)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def url(self, member: str, path: str) -> str:
        spec = self.cluster.lab.cluster.member(member)
        return f"https://{spec.addresses[0]}:{spec.api_port}{path}"

    def session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.tls, local_addr=(self.at, 0))
        return aiohttp.ClientSession(connector=connector, headers=self.headers, cookie_jar=aiohttp.DummyCookieJar())

    async def ask(self, method: str, path: str, body: Any = None, *, member: str = "w", **more: Any) -> Said:
        if body is not None:
            more["json"] = body
        url = self.url(member, BASE + path)
        async with self.session() as session, session.request(method, url, **more) as answer:
            text = await answer.read()
            return Said(answer.status, json.loads(text) if text else None, answer.headers)

    @asynccontextmanager
    async def following(self, member: str = "w") -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """The stream, as (name, value)."""
        async with self.session() as session, session.get(self.url(member, f"{BASE}/stream")) as answer:
            assert answer.status == 200
            yield _messages(answer.content)


async def _messages(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    while raw := await lines.readuntil(b"\n"):
        key, _, value = raw.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


def tokens(cluster: Running, member: str) -> TokenFile:
    return TokenFile(cluster.lab.directory / STATE / member)


def person(cluster: Running, name: str, right: Right, member: str = "w", at: str = "127.0.84.1") -> Person:
    """Somebody with a new token, made on that member."""
    return Person(cluster, token=tokens(cluster, member).create(name, right, NOW_MS), at=at)


# ---------------------------------------------------------------- waiting


async def until_so(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """What nobody tells: look until it is so; the caller brings the deadline."""
    while await look() != wanted:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(LOOK_EVERY_S)


async def until_served(one: Person, member: str) -> None:
    """Until that member's API answers; the caller brings the deadline."""

    async def answers() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            return (await one.ask("GET", "/session", member=member)).status == 200
        return False

    await until_so(answers, True)


async def serving(directory: Path) -> Running:
    """A cluster of a, b and w that is whole, with the API of each."""
    running = await started(directory, api=True, options={"max_payload": SECRET})
    async with asyncio.timeout(SETTLE_S):
        for member in running.lab.nodes:
            await until_served(Person(running), member)
    return running


def api_process(cluster: Running, member: str) -> int | None:
    """The API's process of a member."""
    for pid in tree([cluster.lab.nodes[member].pid]):
        with contextlib.suppress(OSError):
            if b"standfast.api\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None
