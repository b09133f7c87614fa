"""The table of what can be asked: method, path, who may, what goes in, what comes out, and who answers.

The server, the OpenAPI description and the tests are made from it; nothing else knows a path.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from standfast.api import acting, looking
from standfast.api.answers import Foretold, Happened, Look, Ordered, Safe, Session
from standfast.api.bodies import Login, MoveOrder, Order, Question
from standfast.api.desk import Call
from standfast.api.gate import MEMBER, Wanted
from standfast.api.limits import EVENTS_KEPT
from standfast.member.config_protocol import ConfigReport
from standfast.member.snapshot import Snapshot
from standfast.member.turns import Takeover
from standfast.tokens import Right, Token

BASE = "/api/v1"
TOKENS = "/tokens"


class Number(NamedTuple):
    """A number in the query, which may be left out."""

    name: str
    meaning: str
    default: int
    least: int
    most: int


class Route(NamedTuple):
    """One thing that can be asked.

    Attributes:
        method: of HTTP.
        path: below BASE; names in braces.
        right: that it needs; None: open to all; MEMBER: another member's certificate.
        summary: a line for the description.
        handler: answers with a value, or with a whole response.
        answer: type of the value; None: no body. For a stream, the text of its description.
        body: type of the request's body; None: it has none.
        query: numbers in the query.
        errors: status codes that it may end with, beside those that all have.
    """

    method: str
    path: str
    right: Wanted
    summary: str
    handler: Callable[[Call], Awaitable[Any]]
    answer: Any
    body: Any = None
    query: tuple[Number, ...] = ()
    errors: tuple[int, ...] = ()


_LIMIT = Number("limit", "At most so many, from the newest.", 200, 1, EVENTS_KEPT)
_SINCE = Number("since", "Only those with a larger `number`.", 0, 0, 2**53)
_STREAM = (
    "Server-sent events: `look` (a Look) several times a second, `happened` (a Happened) for each event, `turns` (a "
    "list of Takeover) when one begins or ends, `trouble` (a Failure) when the member does not answer."
)
_V, _O = Right.VIEWER, Right.OPERATOR

ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", _V, "The cluster as this member sees it.", looking.status, Look),
    Route("GET", "/events", _V, "The event log.", looking.events, list[Happened], query=(_SINCE, _LIMIT)),
    Route("GET", "/history", _V, "Takeovers, moves, restarts.", looking.history, list[Takeover], query=(_LIMIT,)),
    Route("GET", "/stream", _V, "Looks and events as they come.", looking.follow, _STREAM),
    Route("GET", "/config", _V, "The configuration in force, without secrets.", looking.config, ConfigReport),
    Route("GET", "/snapshot", _V, "What the member knows, for what-if.", looking.snapshot, Snapshot),
    Route("GET", "/members/{member}/can-stop", _V, "May it be stopped now?", looking.can_stop, Safe, errors=(404,)),
    Route("POST", "/what-if", _V, "What would follow.", looking.what_if, Foretold, Question, errors=(404, 409, 429)),
    Route(
        "POST",
        "/queue-managers/{queue_manager}/move",
        _O,
        "Run a queue manager on another member.",
        acting.move,
        Ordered,
        MoveOrder,
        errors=(404, 409),
    ),
    Route(
        "POST", "/members/{member}/drain", _O, "Let it run nothing.", acting.drain, Ordered, Order, errors=(404, 409)
    ),
    Route(
        "POST", "/members/{member}/undrain", _O, "Let it run again.", acting.undrain, Ordered, Order, errors=(404, 409)
    ),
    Route(
        "POST", "/members/{member}/clear", _O, "End its quarantine.", acting.clear, Ordered, Order, errors=(404, 409)
    ),
    Route("POST", "/freeze", _O, "Suspend takeovers and moves.", acting.freeze, Ordered, Order, errors=(409,)),
    Route("POST", "/thaw", _O, "Resume takeovers and moves.", acting.thaw, Ordered, Order, errors=(409,)),
    Route("GET", TOKENS, MEMBER, "Tokens, for another member.", looking.tokens, tuple[Token, ...]),
    Route("GET", "/session", None, "Who asks.", looking.session, Session),
    Route("POST", "/session", None, "Log in: a token for a cookie.", acting.login, Session, Login, errors=(401, 429)),
    Route("DELETE", "/session", None, "Log out: forget the cookie.", acting.logout, None),
)
