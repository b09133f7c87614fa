"""Who asks, and whether they may: certificates, tokens, the cookie of the page, and the price of failing.

Guarantees: who shows no certificate of this cluster's authority that names a right, and no token that is good now, gets
nothing but what is open to all; an address that failed too often is not looked at for a while; a browser is let act
only by the page of this very server, so that no other site can use somebody's login.

Assumes that the authority's key is kept away from strangers, and that who can read this member's disk is its operator.
"""

import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from aiohttp import web
from msgspec import Struct

from standfast.api.answers import Problem
from standfast.api.penalties import Penalties
from standfast.errors import KeyFileError
from standfast.tokens import PREFIX, Right, TokenFile, found

COOKIE = "__Host-standfast"
"""The prefix makes browsers demand TLS, the whole host and no domain (RFC 6265bis section 4.1.3.2)."""
COOKIE_S = 12 * 3600
MAX_TOKEN = 256
MEMBER: Final = "member"
"""What a certificate that names no right is good for: to be another member."""
Wanted = Right | Literal["member"] | None
"""What a route needs; None: nothing."""
NS_PER_MS = 1_000_000


class Principal(Struct, frozen=True, kw_only=True):
    """Who asks.

    Attributes:
        name: of the token or certificate.
        right: what they may do; None for another member.
        way: `token`, `page` (a token in a cookie) or `certificate`.
        address: where from.
    """

    name: str
    right: Right | None
    way: str
    address: str

    def __str__(self) -> str:
        """For logs and events."""
        return f"{self.name} ({self.right or MEMBER}, {self.way}) from {self.address}"


class Gate:
    """Of one server."""

    def __init__(self, tokens: TokenFile) -> None:
        self._tokens = tokens
        self._penalties = Penalties()
        self.untold: list[tuple[str, str, int]] = []
        """Refusals that are to be told: address, why, how many."""

    def admit(self, request: web.Request, wanted: Wanted) -> Principal | None:
        """Who asks; None is nobody in particular. Raises Problem when that does not do for what is wanted."""
        who = self._certified(request) or self._known(request, open_to_all=wanted is None)
        if wanted is None:
            return who
        if who is None:
            raise Problem(401, "LoginNeeded", "Show a token: `Authorization: Bearer ...`, or log in on the page.")
        if not _covers(who.right, wanted):
            raise Problem(403, "NotAllowed", f"{who.name} is {who.right or MEMBER}, and this is for a {wanted}.")
        if who.way == "page" and request.method not in {"GET", "HEAD"} and not _own_page(request):
            raise Problem(403, "NotAllowed", "Another site has made your browser ask this: nothing was done.")
        return who

    def login(self, request: web.Request, token: str) -> Principal:
        """Who has this token; raises Problem when nobody has."""
        return self._holder(request, token, "page")

    # ------------------------------------------------------------ ways in

    def _certified(self, request: web.Request) -> Principal | None:
        """Whom the certificate names, which TLS has checked against the cluster's authority."""
        certificate: Mapping[str, Any] | None = request.get_extra_info("peercert")
        if not certificate:
            return None
        named = {key: value for part in certificate["subject"] for key, value in part}
        unit = named.get("organizationalUnitName", "")
        right = Right(unit) if unit in set(Right) else None
        name = str(named.get("commonName", ""))
        return Principal(name=name, right=right, way="certificate", address=request.remote or "")

    def _known(self, request: web.Request, *, open_to_all: bool) -> Principal | None:
        """Who has the token shown. Where it makes no difference who asks, a wrong one is no attempt at anything."""
        said = request.headers.get("Authorization", "")
        scheme, _, token = said.partition(" ")
        if said:
            token, way = token.strip() if scheme.lower() == "bearer" else "", "token"
        else:
            token, way = request.cookies.get(COOKIE, ""), "page"
        if not said and not token:
            return None
        if open_to_all:
            return self._found(token, way, request.remote or "")
        return self._holder(request, token, way)

    def _holder(self, request: web.Request, token: str, way: str) -> Principal:
        """Who has this token. Raises Problem: nobody, or this address has to wait."""
        address, now_s = request.remote or "", time.monotonic()
        if wait_s := self._penalties.wait_s(address, now_s):
            why = f"Too many failed logins from {address}: the next one is looked at in {wait_s:.0f} s."
            raise Problem(429, "TooManyFailures", why, {"Retry-After": str(int(wait_s) + 1)})
        if (who := self._found(token, way, address)) is not None:
            return who
        if count := self._penalties.failed(address, now_s):
            self.untold.append((address, f"wrong {way}", count))
        raise Problem(401, "LoginRefused", "That token is not good here: it is wrong, revoked, or has expired.")

    def _found(self, token: str, way: str, address: str) -> Principal | None:
        """Who has this token, if anybody. Raises Problem when what is kept of tokens can not be read."""
        try:
            good = found(self._tokens.read(), token, time.time_ns() // NS_PER_MS) if _formed(token) else None
        except KeyFileError as error:
            raise Problem(500, "KeyFileError", str(error)) from None
        return None if good is None else Principal(name=good.name, right=good.right, way=way, address=address)


def _covers(right: Right | None, wanted: Right | Literal["member"]) -> bool:
    """Members and people are not each other: a member's key opens nothing that orders anything."""
    if right is None or wanted == MEMBER:
        return right is None and wanted == MEMBER
    return right.covers(wanted)


def _formed(token: str) -> bool:
    return token.startswith(PREFIX) and len(token) <= MAX_TOKEN


def _own_page(request: web.Request) -> bool:
    """Whether the browser says that a page of this server asks."""
    return request.headers.get("Origin") == f"https://{request.host}"
