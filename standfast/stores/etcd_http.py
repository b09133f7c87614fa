"""Single requests to etcd's JSON gateway over kept-alive HTTP, and the choice of the endpoint.

Guarantees: every request carries the leader requirement, so that a member without a leader answers at once instead of
keeping us waiting for seconds; a request is sent once, to one endpoint, and sent again only when etcd refused its
token (which it does before executing anything); every failure leaves as `Failed` with the table's verdict.
Does not guarantee: that an answer is fresh or from the right cluster; that is judged in `etcd.py`.
Assumes: aiohttp never repeats a POST by itself (RFC 9110 section 9.2.2: it is not idempotent).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from standfast.stores import etcd_wire as wire
from standfast.stores.etcd_errors import Failed, Seen, Stage, Verdict

T = TypeVar("T")

KEEP_ALIVE_S = 60.0
"""An idle connection is closed after this; longer than the pause between two watches, so that one stays open."""

_HEADERS = {"Content-Type": "application/json", "Grpc-Metadata-Hasleader": "true"}
_OK = 200
_ERROR = wire.decoder(wire.ErrorAnswer)
_LOGIN = wire.decoder(wire.LoginAnswer)


class Patience(Struct, frozen=True, kw_only=True):
    """How long the store is waited for; raises ValueError when the values do not fit each other.

    Attributes:
        operation_s: absolute deadline of every read or transaction, all attempts together.
        try_s: time to connect, and to answer a request that may be asked elsewhere too.
        hedge_s: silence after which a read is started at the next endpoint as well.
        fresh_s: how long an endpoint that answered is trusted with a write without asking it again.
        pause_s: pause before all endpoints are asked again.
        watch_s: longest time that one `wake` lasts.
    """

    operation_s: float = 3.0
    try_s: float = 0.5
    hedge_s: float = 0.1
    fresh_s: float = 0.25
    pause_s: float = 0.02
    watch_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse values that would make a dead endpoint cost the whole deadline."""
        if not 0 < self.pause_s <= self.hedge_s <= self.try_s <= self.operation_s / 2:
            raise ValueError(
                f"Store timers must rise: 0 < pause_s <= hedge_s <= try_s <= half of operation_s; they are {self}."
            )
        if self.fresh_s < 0 or self.watch_s <= 0:
            raise ValueError(f"Store timers must be positive; they are {self}.")


class Gateway:
    """One HTTP session to all endpoints, in order of preference.

    Args:
        endpoints: addresses, `http://host:port`, `https://host:port` or `host:port`; nearest first.
        tls: for https; also what `host:port` means when given.
        username: for an etcd with authentication; empty means none.
        password: for it.
        patience: the timers.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: ssl.SSLContext | None = None,
        username: str = "",
        password: str = "",
        patience: Patience,
    ) -> None:
        self._tls = tls
        self.endpoints = self._urls(endpoints)
        self.patience = patience
        self._credentials = wire.encode({"name": username, "password": password}) if username else b""
        self._token = ""
        self._session: aiohttp.ClientSession | None = None
        self._preferred = self.endpoints[0]
        self._answered_at: dict[str, float] = {}

    # ------------------------------------------------------------ choice of the endpoint

    def follow(self, endpoints: Sequence[str]) -> None:
        """Use these endpoints from now on, nearest first; what is under way goes on. Raises ValueError for none."""
        self.endpoints = self._urls(endpoints)
        self._answered_at = {one: at for one, at in self._answered_at.items() if one in self.endpoints}
        if self._preferred not in self.endpoints:
            self._preferred = self.endpoints[0]

    def _urls(self, endpoints: Sequence[str]) -> tuple[str, ...]:
        urls = tuple(dict.fromkeys(_url(endpoint, secure=self._tls is not None) for endpoint in endpoints))
        if not urls:
            raise ValueError("No endpoint of the store was given: name at least one.")
        return urls

    def order(self) -> tuple[str, ...]:
        """All endpoints, first the one that answered last."""
        return (self._preferred, *(e for e in self.endpoints if e != self._preferred))

    def trust(self, endpoint: str) -> None:
        """Note that the endpoint has just answered for a majority of its cluster."""
        self._preferred = endpoint
        self._answered_at[endpoint] = asyncio.get_running_loop().time()

    def distrust(self, endpoint: str) -> None:
        """Note that the endpoint failed: the next write asks first."""
        self._answered_at.pop(endpoint, None)

    async def fresh(self) -> str | None:
        """The preferred endpoint when it has answered just now, or None."""
        # Two turns of the loop: one to learn that the other side closed a kept-alive connection, one to drop it. A
        # write over such a connection would end as unknown, though the endpoint is plainly gone.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        at = self._answered_at.get(self._preferred)
        now = asyncio.get_running_loop().time()
        return self._preferred if at is not None and now - at < self.patience.fresh_s else None

    def forget_token(self) -> None:
        """Log in again before the next request."""
        self._token = ""

    # ------------------------------------------------------------ requests

    async def call(
        self, endpoint: str, path: str, request: Any, answer: "msgspec.json.Decoder[T]", *, write: bool, until: float
    ) -> T:
        """Ask one endpoint once; `until` is a moment of the loop's clock. Raises Failed."""
        body = wire.encode(request)
        used = await self._login(endpoint, refused=None, until=until)
        try:
            data = await self._post(endpoint, path, body, token=used, write=write, until=until)
        except Failed as failed:
            if failed.verdict is not Verdict.RENEW or not self._credentials:
                raise
            used = await self._login(endpoint, refused=used, until=until)
            data = await self._post(endpoint, path, body, token=used, write=write, until=until)
        return _decoded(endpoint, answer, data, write=write)

    async def page(self, endpoint: str, path: str, until: float) -> str:
        """A page that etcd serves as text, such as its metrics; raises Failed."""
        try:
            # The session does not decompress, so nothing must come compressed.
            plain = {"Accept-Encoding": "identity"}
            asking = self._open().get(endpoint + path, headers=plain, allow_redirects=False)
            async with asyncio.timeout_at(until), asking as response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Failed.of(endpoint, _unanswered(error), write=False) from error
        if response.status != _OK:
            raise Failed.of(endpoint, _answered(response.status, data), write=False)
        return data.decode(errors="replace")

    @asynccontextmanager
    async def stream(
        self, endpoint: str, path: str, request: Any, *, until: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Ask for a stream, whose first message must come within try_s; raises Failed."""
        token = await self._login(endpoint, refused=None, until=until)
        limit = aiohttp.ClientTimeout(total=None, connect=self.patience.try_s)
        sending = self._open().post(
            endpoint + path, data=wire.encode(request), headers=_headers(token), timeout=limit, allow_redirects=False
        )
        try:
            async with asyncio.timeout(self.patience.try_s):
                response = await sending
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Failed.of(endpoint, _unanswered(error), write=False) from error
        try:
            if response.status != _OK:
                raise Failed.of(endpoint, _answered(response.status, await response.read()), write=False)
            yield response.content
        except (aiohttp.ClientError, OSError) as error:
            raise Failed.of(endpoint, _unanswered(error), write=False) from error
        finally:
            response.close()

    async def close(self) -> None:
        """Close all connections; a later call opens them again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, endpoint: str, path: str, body: bytes, *, token: str, write: bool, until: float) -> bytes:
        left_s = until - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise Failed(endpoint, Verdict.ELSEWHERE, "the time was up before anything was sent")
        # Two limits, because they mean different things: without a connection nothing was sent.
        limit = aiohttp.ClientTimeout(total=None, connect=min(self.patience.try_s, left_s), sock_read=left_s)
        try:
            async with (
                asyncio.timeout_at(until),
                self._open().post(
                    endpoint + path, data=body, headers=_headers(token), timeout=limit, allow_redirects=False
                ) as response,
            ):
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Failed.of(endpoint, _unanswered(error), write=write) from error
        if response.status != _OK:
            raise Failed.of(endpoint, _answered(response.status, data), write=write)
        return data

    async def _login(self, endpoint: str, *, refused: str | None, until: float) -> str:
        """The token to use; a new one when there is none or it was `refused`. Logging in changes no key."""
        if not self._credentials:
            return ""
        if not self._token or self._token == refused:
            data = await self._post(endpoint, wire.LOGIN, self._credentials, token="", write=False, until=until)
            self._token = _decoded(endpoint, _LOGIN, data, write=False).token
        return self._token

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            secure: Any = self._tls if self._tls is not None else True
            connector = aiohttp.TCPConnector(ssl=secure, limit=0, keepalive_timeout=KEEP_ALIVE_S)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session


class NoneAnswered(Exception):  # noqa: N818 - a situation inside this room
    """Every endpoint failed; `failures` says how."""

    def __init__(self, failures: list[Failed]) -> None:
        super().__init__(*failures)
        self.failures = failures


async def first_good(endpoints: Sequence[str], attempt: Callable[[str], Awaitable[T]], hedge_s: float) -> T:
    """The first success of `attempt`; for requests that change nothing.

    The next endpoint is asked as soon as one has failed, or has been silent for hedge_s. Raises NoneAnswered when all
    have failed.
    """
    ahead = list(endpoints)
    running: set[asyncio.Future[T]] = set()
    failures: list[Failed] = []
    try:
        while ahead or running:
            if ahead:
                running.add(asyncio.ensure_future(attempt(ahead.pop(0))))
            patience_s = hedge_s if ahead else None
            done, running = await asyncio.wait(running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            good = [task for task in done if _failure(task, failures) is None]
            if good:
                return good[0].result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    raise NoneAnswered(failures)


def _failure(task: "asyncio.Future[Any]", failures: list[Failed]) -> BaseException | None:
    """What a finished attempt failed with; a Failed is noted, anything else is a bug and raised."""
    error = task.exception()
    if isinstance(error, Failed):
        failures.append(error)
    elif error is not None:
        raise error
    return error


def _decoded(endpoint: str, answer: "msgspec.json.Decoder[T]", data: bytes, *, write: bool) -> T:
    try:
        return answer.decode(data)
    except msgspec.MsgspecError as error:
        seen = Seen(stage=Stage.ANSWERED, status=_OK, text=f"the answer is not etcd's: {error}")
        raise Failed.of(endpoint, seen, write=write) from error


def _headers(token: str) -> dict[str, str]:
    return _HEADERS | {"Authorization": token} if token else _HEADERS


def _unanswered(error: Exception) -> Seen:
    """Which stage an exception of the transport tells of. In doubt: sent."""
    never_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    stage = Stage.CONNECT if never_sent else Stage.SENT
    return Seen(stage=stage, text=str(error) or type(error).__name__)


def _answered(status: int, data: bytes) -> Seen:
    """An answer that is not a success; without a code in its body it does not come from etcd."""
    try:
        told = _ERROR.decode(data)
    except msgspec.MsgspecError:
        return Seen(stage=Stage.ANSWERED, status=status, text=data[:200].decode(errors="replace"))
    return Seen(stage=Stage.ANSWERED, status=status, code=told.code, text=told.message)


def _url(endpoint: str, *, secure: bool) -> str:
    """The endpoint as a URL; raises ValueError with a sentence."""
    url = endpoint if "://" in endpoint else f"{'https' if secure else 'http'}://{endpoint}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(
            f"{endpoint!r} is no endpoint of a store: write host:port, http://host:port or https://host:port."
        )
    return url.rstrip("/")
