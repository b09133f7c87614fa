"""Answers to those who act: orders, and what an order would bring; login and logout."""

from collections.abc import Callable

from aiohttp import web

from standfast.api import consequences as foreseen
from standfast.api.answers import Ordered, Problem, Session, status_of
from standfast.api.bodies import Login, MoveOrder, Order
from standfast.api.consequences import Prospects
from standfast.api.desk import Call, unknown
from standfast.api.gate import COOKIE, COOKIE_S
from standfast.cli.endings import VERDICTS
from standfast.member.control_protocol import Clear, Drain, Freeze, Move, OrderResult, Request, Thaw, Undrain
from standfast.member.report import StatusReport


async def move(call: Call) -> Ordered:
    """Run a queue manager on another member."""
    assert isinstance(call.body, MoveOrder)
    name, to, report = await call.queue_manager(), call.body.to, await call.desk.report()
    if to not in {member.name for member in report.members}:
        raise unknown("member", to, [member.name for member in report.members])
    if call.body.dry:
        return _foreseen(foreseen.of_move(report, call.desk.hub.turns(), name, to))
    return await _order(call, Move(name, to))


async def drain(call: Call) -> Ordered:
    """Let a member run nothing."""
    name = await call.member()
    turns = call.desk.hub.turns()
    return await _ask_or_order(call, lambda report: foreseen.of_drain(report, turns, name), Drain(name))


async def undrain(call: Call) -> Ordered:
    """Let a drained member run queue managers again."""
    name = await call.member()
    return await _ask_or_order(call, lambda report: foreseen.of_undrain(report, name), Undrain(name))


async def clear(call: Call) -> Ordered:
    """Let a member out of quarantine."""
    name = await call.member()
    return await _ask_or_order(call, lambda report: foreseen.of_clear(report, name), Clear(name))


async def freeze(call: Call) -> Ordered:
    """Suspend takeovers and moves."""
    return await _ask_or_order(call, foreseen.of_freeze, Freeze())


async def thaw(call: Call) -> Ordered:
    """Resume takeovers and moves."""
    return await _ask_or_order(call, foreseen.of_thaw, Thaw())


async def login(call: Call) -> web.StreamResponse:
    """Let the browser keep a token where scripts can not read it."""
    assert isinstance(call.body, Login)
    who = call.desk.gate.login(call.raw, call.body.token)
    session = Session(name=who.name, right=str(who.right), cluster=call.desk.cluster, member=call.desk.member)
    answer = web.json_response({key: getattr(session, key) for key in session.__struct_fields__})
    answer.set_cookie(COOKIE, call.body.token, max_age=COOKIE_S, secure=True, httponly=True, samesite="Strict")
    return answer


async def logout(call: Call) -> web.StreamResponse:
    """Let the browser forget it."""
    answer = web.Response(status=204)
    answer.del_cookie(COOKIE, secure=True, httponly=True, samesite="Strict")
    del call
    return answer


async def _ask_or_order(call: Call, prospects: Callable[[StatusReport], Prospects], order: Request) -> Ordered:
    assert isinstance(call.body, Order)
    if call.body.dry:
        return _foreseen(prospects(await call.desk.report()))
    return await _order(call, order)


def _foreseen(prospects: Prospects) -> Ordered:
    return Ordered(
        verdict=None,
        sentence="Nothing was ordered: this is what would happen.",
        consequences=prospects.sentences,
        advised=prospects.advised,
    )


async def _order(call: Call, request: Request) -> Ordered:
    """Give it; raises Problem for what its verdict means."""
    verdict = (await call.desk.ask(request, OrderResult, call.by)).verdict
    ending = VERDICTS[verdict]
    if ending.raises is not None:
        raise Problem(status_of(ending.raises("")), ending.raises.__name__, ending.sentence)
    return Ordered(verdict=verdict, sentence=ending.sentence)
