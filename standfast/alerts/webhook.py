"""A webhook: each event is one POST of a CloudEvent in structured mode (cloudevents/spec, HTTP protocol binding).

Signed, where there is a secret, as the Standard Webhooks specification says: ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature: v1,`` with the base64 of HMAC-SHA256 over ``id.timestamp.body``. Any 2xx answer is an
acknowledgement; redirections are not followed, for they would carry the signature elsewhere.
"""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp

from standfast.alerts.cloudevents import CONTENT_TYPE
from standfast.alerts.sink import Door, Outgoing, Sink, secret, tls
from standfast.errors import SinkError
from standfast.model.sinks import SinkSpec

MAX_SHOWN = 200
"""Bytes of an answer that are shown when it is a refusal."""


class Webhook(Sink):
    """One HTTP client for one URL."""

    def __init__(self, spec: SinkSpec, where: Door) -> None:
        self._spec = spec
        self._where = where
        self._session: aiohttp.ClientSession | None = None
        self._headers: dict[str, str] = {}
        self._secret = ""

    async def deliver(self, events: Sequence[Outgoing]) -> None:
        """See Sink."""
        session = self._session or await self._opened()
        for outgoing in events:
            body = outgoing.body
            headers = {**self._headers, **(signed(self._secret, outgoing.event.id, body) if self._secret else {})}
            async with session.post(self._where.url, data=body, headers=headers, allow_redirects=False) as answer:
                if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    said = (await answer.content.read(MAX_SHOWN)).decode(errors="replace").strip()
                    raise SinkError(f"it answered {answer.status} {answer.reason or ''}: {said}".rstrip(": "))

    async def close(self) -> None:
        """See Sink."""
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        options = self._spec.options
        context = await asyncio.to_thread(tls, self._spec, self._where)
        self._headers = {"Content-Type": CONTENT_TYPE}
        if "token_file" in options:
            token = await asyncio.to_thread(secret, options["token_file"], "the token")
            self._headers["Authorization"] = f"Bearer {token}"
        if "secret_file" in options:
            self._secret = await asyncio.to_thread(secret, options["secret_file"], "the secret")
        connector = aiohttp.TCPConnector(ssl=context or True, limit=1)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session


def signed(key: str, event_id: str, body: bytes, at_s: int | None = None) -> dict[str, str]:
    """The headers that prove where a request comes from; `at_s`: seconds since 1970, now by default."""
    moment = str(int(time.time()) if at_s is None else at_s)
    signature = hmac.new(key.encode(), b".".join((event_id.encode(), moment.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
