"""Every request on its way: who asks, what they send, the answer, and what becomes of errors.

Guarantees: nothing that is sent raises; a body is read only from who may send one, up to MAX_BODY_BYTES and within
REQUEST_S; every answer carries the headers that keep a browser from doing more with it than the page does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from standfast.api import limits, openapi, pages
from standfast.api.answers import Failure, Problem, status_of
from standfast.api.desk import Call, Desk
from standfast.api.routes import BASE, ROUTES, Number, Route
from standfast.errors import StandfastError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
    "'script'",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ENCODER = msgspec.json.Encoder()
_log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(desk: Desk) -> web.Application:
    """All routes of the table, the description, and the page."""
    made = web.Application(client_max_size=limits.MAX_BODY_BYTES, middlewares=[_guarded])
    for route in ROUTES:
        made.router.add_route(route.method, BASE + route.path, _handler(route, desk))
    described = openapi.text().encode()

    async def describe(_: web.Request) -> web.StreamResponse:
        return web.Response(body=described, content_type="application/json")

    made.router.add_get(f"{BASE}/openapi.json", describe)
    pages.add(made.router)
    made.on_response_prepare.append(_with_headers)
    return made


async def _with_headers(_: web.Request, answer: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        answer.headers[name] = value
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.headers.pop("Server", None)


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever is raised becomes an answer."""
    try:
        return await handler(request)
    except Problem as problem:
        return _failed(problem.status, problem.error, problem.message, problem.headers)
    except web.HTTPException as refused:
        allow = {"Allow": refused.headers["Allow"]} if "Allow" in refused.headers else {}
        return _failed(refused.status, "Http", f"{refused.reason}. See {BASE}/openapi.json.", allow)
    except StandfastError as error:
        return _failed(status_of(error), type(error).__name__, str(error), {})
    except TimeoutError:
        return _failed(503, "Unreachable", "It took too long. Ask again.", {})
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001 - one request's bug must not cost the others their server
        _log.exception("request failed", extra={"path": request.path})
        return _failed(500, "StandfastError", "An error that nobody foresaw; the member's log has the details.", {})


def _failed(status: int, error: str, message: str, headers: dict[str, str]) -> web.Response:
    body = _ENCODER.encode(Failure(error=error, message=message))
    answer = web.Response(status=status, body=body, content_type="application/json", headers=headers)
    if status in {401, 413, 429}:
        answer.force_close()  # what else it was about to send is not waited for
    if status == 401:  # noqa: PLR2004 - RFC 9110 section 15.5.2 demands the header
        answer.headers["WWW-Authenticate"] = 'Bearer realm="standfast"'
    return answer


def _handler(route: Route, desk: Desk) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        by = desk.gate.admit(request, route.right)
        async with asyncio.timeout(limits.REQUEST_S):
            body = await _body(request, route)
        path = dict(request.match_info)
        query = {number.name: _number(request, number) for number in route.query}
        call = Call(desk=desk, by=by, path=path, query=dict(query), body=body, raw=request)
        if isinstance(route.answer, str):
            found = await route.handler(call)  # a stream has no end to wait for
        else:
            async with asyncio.timeout(limits.REQUEST_S):
                found = await route.handler(call)
        if isinstance(found, web.StreamResponse):
            return found
        return web.Response(body=_ENCODER.encode(found), content_type="application/json")

    return handle


async def _body(request: web.Request, route: Route) -> Any:
    """The body as the route wants it. Raises Problem."""
    if route.body is None:
        if request.body_exists:
            raise Problem(400, "UsageError", "This takes no body.")
        return None
    if request.content_type != "application/json" or request.headers.get("Content-Encoding"):
        raise Problem(415, "UsageError", "Send JSON, uncompressed, as `Content-Type: application/json`.")
    try:
        return msgspec.json.decode(await request.read(), type=route.body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Problem(400, "UsageError", f"The body is not as described: {error}.") from None


def _number(request: web.Request, number: Number) -> int:
    text = request.query.get(number.name)
    if text is None:
        return number.default
    if len(text) > len(str(number.most)) + 1 or not text.lstrip("-").isascii() or not text.lstrip("-").isdigit():
        raise Problem(400, "UsageError", f"{number.name} is a whole number.")
    value = int(text)
    if not number.least <= value <= number.most:
        raise Problem(400, "UsageError", f"{number.name} is {number.least} to {number.most}.")
    return value
