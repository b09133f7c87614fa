"""The API of a real cluster: who may what, what orders do, and what strangers can not do."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest

from standfast.api import limits
from standfast.api.openapi import codes
from standfast.api.penalties import BURST
from standfast.api.routes import ROUTES
from standfast.lab.plan import TRUST
from standfast.model.events import EventKind
from standfast.people import CERTIFICATE, PRIVATE_KEY, certify
from standfast.tokens import Right
from standfast.trust import write_trust
from tests.real.api.asking import NOW_MS, SECRET, Person, api_process, person, tokens, until_served, until_so
from tests.real.running import QM, until

FOREIGN = {"Origin": "https://elsewhere.example"}


def path_of(route) -> str:
    return route.path.format(member="a", queue_manager=QM)


# ---------------------------------------------------------------- who may what


async def test_each_route_lets_in_whom_its_right_covers_and_nobody_else(cluster, viewer, operator):
    stranger, member = Person(cluster), Person(cluster, certificate_of="a")
    for route in ROUTES:
        said = {
            who: (await one.ask(route.method, path_of(route), {"wrong": 1} if route.body else None)).status
            for who, one in (("stranger", stranger), ("member", member), ("viewer", viewer), ("operator", operator))
            if not (route.path == "/stream" and who in {"viewer", "operator"})
        }
        refused = {who for who, status in said.items() if status in {401, 403}}
        wanted = {
            None: set(),
            "member": {"stranger", "viewer", "operator"},
            "viewer": {"stranger", "member"},
            "operator": {"stranger", "member", "viewer"},
        }[route.right]
        assert refused == wanted, (route.path, said)
        assert set(said.values()) <= {200, 204, *codes(route)}, (route.path, said)


async def test_a_certificate_of_the_authority_is_as_good_as_a_token_and_no_other_is(cluster, tmp_path):
    trust = cluster.lab.directory / TRUST
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    for right, status in ((Right.VIEWER, 403), (Right.OPERATOR, 200)):
        certify(trust, "dave", right, until, tmp_path / right)
        dave = Person(cluster, at="127.0.84.5")
        dave.tls.load_cert_chain(tmp_path / right / CERTIFICATE, tmp_path / right / PRIVATE_KEY)
        assert (await dave.ask("GET", "/session")).body["right"] == right
        assert (await dave.ask("POST", "/freeze", {"dry": True})).status == status
        assert (await dave.ask("GET", "/tokens")).status == 403
    write_trust(tmp_path / "other", cluster.lab.cluster)
    certify(tmp_path / "other", "eve", Right.OPERATOR, until, tmp_path / "eve")
    eve = Person(cluster, at="127.0.84.5")
    eve.tls.load_cert_chain(tmp_path / "eve" / CERTIFICATE, tmp_path / "eve" / PRIVATE_KEY)
    with pytest.raises(aiohttp.ClientError):
        await eve.ask("GET", "/session")


async def test_the_page_acts_for_whoever_logged_in_and_for_no_other_site(cluster, operator):
    token = operator.headers["Authorization"].removeprefix("Bearer ")
    browser = Person(cluster)
    said = await browser.ask("POST", "/session", {"token": token})
    assert said.status == 200
    cookie = said.headers["Set-Cookie"]
    assert all(word in cookie for word in ("__Host-", "Secure", "HttpOnly", "SameSite=Strict"))
    logged_in = {"Cookie": cookie.partition(";")[0]}
    assert (await browser.ask("GET", "/status", headers=logged_in)).status == 200
    foreign = await browser.ask("POST", "/freeze", {"dry": True}, headers=logged_in | FOREIGN)
    none = await browser.ask("POST", "/freeze", {"dry": True}, headers=logged_in)
    own = {"Origin": browser.url("w", "")}
    assert (foreign.status, none.status) == (403, 403)
    assert (await browser.ask("POST", "/freeze", {"dry": True}, headers=logged_in | own)).status == 200


async def test_a_token_counts_on_every_member_and_a_revoked_one_on_none(cluster):
    somebody = person(cluster, "bob", Right.VIEWER, at="127.0.84.2")

    async def known_as(member: str) -> str:
        return (await somebody.ask("GET", "/session", member=member)).body["name"]

    async def until_said(status: int) -> None:
        async with asyncio.timeout(20):
            for member in "wab":
                await until_so(lambda member=member: known_as(member), "bob" if status == 200 else "")
                assert (await somebody.ask("GET", "/status", member=member)).status == status

    await until_said(200)
    tokens(cluster, "w").revoke("bob", NOW_MS)
    await until_said(401)


async def test_who_guesses_has_to_wait_and_is_told_of(cluster, viewer):
    guesser = Person(cluster, token="standfast_guess", at="127.0.84.3")
    said = [(await guesser.ask("GET", "/status")).status for _ in range(BURST + 1)]
    assert said == [401] * BURST + [429]
    assert (await viewer.ask("GET", "/status")).status == 200

    async def counted() -> list[int]:
        return [one["fields"]["count"] for one in await told(viewer, EventKind.LOGIN_REFUSED, "127.0.84.3")]

    async with asyncio.timeout(10):
        await until_so(counted, [1])


async def told(viewer: Person, kind: EventKind, subject: str) -> list:
    events = (await viewer.ask("GET", "/events")).body
    return [one for one in events if (one["kind"], one["subject"]) == (kind, subject)]


# ---------------------------------------------------------------- orders


async def test_an_order_is_foretold_then_carried_out_followed_and_told_with_who_gave_it(cluster, viewer, operator):
    owner = await cluster.owner()
    to = cluster.other(owner)
    path = f"/queue-managers/{QM}/move"
    dry = await operator.ask("POST", path, {"to": to, "dry": True})
    assert (dry.status, dry.body["verdict"], dry.body["advised"]) == (200, None, True)
    assert dry.body["consequences"]
    assert (await operator.ask("POST", path, {"to": "w", "dry": True})).body["advised"] is False
    assert await told(viewer, EventKind.ORDER_GIVEN, QM) == []
    async with asyncio.timeout(30), viewer.following() as messages:
        assert (await operator.ask("POST", path, {"to": to})).body["verdict"] == "done"
        async for name, value in messages:
            if name == "look" and value["report"]["queue_managers"][0]["owner"] == to:
                break
    assert (await cluster.lab.until_running(QM, on=to)).owner == to
    (order,) = await told(viewer, EventKind.ORDER_GIVEN, QM)
    assert "alice" in order["fields"]["by"]
    assert order["fields"] | {"order": "move", "to": to, "verdict": "done"} == order["fields"]
    newest = (await viewer.ask("GET", "/history")).body[-1]
    assert (newest["was"], newest["owner"]) == (owner, to)


async def test_what_can_not_be_is_refused_with_a_reason(cluster, operator):
    for path, body, status in (
        (f"/queue-managers/{QM}/move", {"to": "w"}, 400),
        (f"/queue-managers/{QM}/move", {"to": "nobody"}, 404),
        ("/queue-managers/none/move", {"to": "a"}, 404),
        ("/members/none/drain", {}, 404),
        ("/freeze", {"dyr": True}, 400),
        ("/what-if", {"lose": ["nobody"]}, 404),
        ("/what-if", {"cut": ["a:b:c"]}, 400),
    ):
        said = await operator.ask("POST", path, body)
        assert (said.status, set(said.body)) == (status, {"error", "message"}), path


async def test_what_if_plays_on_what_the_member_knows(cluster, viewer):
    owner = await cluster.owner()
    said = await viewer.ask("POST", "/what-if", {"lose": [owner]})
    assert said.body["all_run"] is True
    assert [(one["was_on"], one["runs_on"]) for one in said.body["queue_managers"]] == [(owner, cluster.other(owner))]


async def test_secrets_stay_in_the_member(cluster, viewer):
    assert cluster.lab.cluster.queue_managers[0].options == {"max_payload": SECRET}
    for path in ("/config", "/snapshot", "/status"):
        assert SECRET not in json.dumps((await viewer.ask("GET", path)).body)
    shown = (await viewer.ask("GET", "/config")).body["cluster"]
    assert all(one["options"] == {} for one in shown["queue_managers"])
    assert shown["store"]["password_file"] == ""


# ---------------------------------------------------------------- strangers


async def test_nothing_that_strangers_send_costs_the_member_anything(cluster, viewer):
    before = await cluster.placing()
    spec = cluster.lab.cluster.member("a")
    at = (spec.addresses[0], spec.api_port)
    stranger = Person(cluster, at="127.0.84.4")
    with contextlib.ExitStack() as opened:
        for number in range(limits.MAX_CONNECTIONS + 60):  # who connects and says nothing, or never ends a handshake
            one = opened.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(at)
            if number % 3 == 0:
                with contextlib.suppress(OSError):
                    one.send(os.urandom(64))
        await asyncio.gather(*(_say(stranger.tls, at, said) for said in NONSENSE))
    async with asyncio.timeout(limits.IDLE_S + limits.HANDSHAKE_S):
        await until_served(viewer, "a")
    large = await viewer.ask("POST", "/what-if", {"lose": ["a" * limits.MAX_BODY_BYTES]}, member="a")
    deep = await viewer.ask("POST", "/what-if", member="a", data=b"[" * 60_000, headers=JSON)
    assert (large.status, deep.status) == (413, 400)
    assert await cluster.placing() == before
    assert await told(viewer, EventKind.LEASE_LOST, "a") == []


JSON = {"Content-Type": "application/json"}
NONSENSE = (
    b"",
    os.urandom(5000),
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: 1\r\n" % number for number in range(2000)) + b"\r\n",
    b"GET /" + b"a" * 30_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n",
    b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
    b"GET /api/v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /page/%2e%2e/%2e%2e/gate.py HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v1/events?since=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v1/session HTTP/1.1\r\nHost: x\r\nCookie: __Host-standfast=\xff\xfe; a=b\r\n\r\n",
    b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xf0\x9f\x92\xa9\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
)


async def _say(tls: ssl.SSLContext, at: tuple[str, int], said: bytes) -> None:
    """Say it and wait for whatever comes, or nothing; not longer than a moment."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(*at, ssl=tls)
            writer.write(said)
            await reader.read(100)
            writer.close()


async def test_a_killed_api_comes_back_and_the_member_does_not_notice(cluster, viewer):
    before, pid = await cluster.placing(), api_process(cluster, "w")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: api_process(cluster, "w") not in {None, pid})
    async with asyncio.timeout(20):
        await until_served(viewer, "w")
    assert await cluster.placing() == before


async def test_the_api_ends_with_its_daemon_however_that_ends(cluster, viewer):
    pid = api_process(cluster, "w")
    cluster.lab.nodes["w"].kill_daemon()
    await until(lambda: not Path(f"/proc/{pid}").exists())
    await cluster.back("w")
