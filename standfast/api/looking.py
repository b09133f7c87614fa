"""Answers to those who look: nothing here changes anything."""

import re

from aiohttp import web
from msgspec import structs

from standfast.api import playing
from standfast.api.answers import Foretold, Happened, Look, Safe, Session
from standfast.api.bodies import Question
from standfast.api.desk import Call, unknown
from standfast.api.stream import stream
from standfast.cli.can_stop import left_behind
from standfast.cli.verdict import cost_sentence
from standfast.member.config_protocol import ConfigReport
from standfast.member.control_protocol import CanStop, SafetyReport, ShowConfig, TakeSnapshot
from standfast.member.snapshot import Snapshot
from standfast.member.turns import Takeover
from standfast.model.cluster import StoreSpec
from standfast.tokens import Token


async def status(call: Call) -> Look:
    """The cluster as this member sees it, judged and in words."""
    return await call.desk.hub.look()


async def history(call: Call) -> list[Takeover]:
    """Takeovers, moves and restarts, oldest first."""
    return call.desk.hub.turns()[-int(call.query["limit"]) :]


async def events(call: Call) -> list[Happened]:
    """Events, oldest first."""
    return call.desk.hub.events(int(call.query["since"]))[-int(call.query["limit"]) :]


async def follow(call: Call) -> web.StreamResponse:
    """Looks and events as they come."""
    return await stream(call.raw, call.desk.hub)


async def config(call: Call) -> ConfigReport:
    """The configuration in force, without options of drivers and the way to the store: they may hold secrets."""
    report = await call.desk.ask(ShowConfig(), ConfigReport, call.by)
    bare = tuple(structs.replace(spec, options={}) for spec in report.cluster.queue_managers)
    cluster = structs.replace(report.cluster, queue_managers=bare, store=StoreSpec())
    return structs.replace(report, cluster=cluster)


async def snapshot(call: Call) -> Snapshot:
    """What the member knows, as a file for `standfast what-if --snapshot`."""
    return await call.desk.ask(TakeSnapshot(), Snapshot, call.by)


async def can_stop(call: Call) -> Safe:
    """Whether a member may be stopped now."""
    safety = (await call.desk.ask(CanStop(await call.member()), SafetyReport, call.by)).safety
    sentences = [*(cost_sentence(reason) for reason in safety.reasons), *left_behind(safety)]
    return Safe(safe=safety.safe, sentences=tuple(sentences))


async def what_if(call: Call) -> Foretold:
    """What would follow."""
    asked = call.body
    assert isinstance(asked, Question)
    taken = await call.desk.ask(TakeSnapshot(), Snapshot, call.by)
    known = [member.name for member in taken.cluster.members]
    for name in (*asked.lose, *asked.fail_hop, *re.findall(r"[^,:>]+", ",".join(asked.cut))):
        if name not in known:
            raise unknown("member", name, known)
    return await playing.played(taken, asked)


async def tokens(call: Call) -> tuple[Token, ...]:
    """What is kept of the tokens, revoked ones too: no token can be made from it."""
    return call.desk.tokens.read()


async def session(call: Call) -> Session:
    """Who asks."""
    who, desk = call.by, call.desk
    name, right = (who.name, str(who.right or "")) if who else ("", "")
    return Session(name=name, right=right, cluster=desk.cluster, member=desk.member)
