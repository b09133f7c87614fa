"""A stand-in between the client and a real etcd: it passes requests on, and cuts, holds or changes the answers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any, Self

import aiohttp
from aiohttp import web

Answer = dict[str, Any]


class Fault(Enum):
    CUT = "the request is passed on, the connection cut before the answer"
    SWALLOW = "the connection is cut before the request is passed on"
    CUT_LATER = "a stream is cut after its first message"
    HANG = "nothing is passed on and nothing answered"


class Middleman:
    """Listens at `host`; everything is by path, and may be changed at any time.

    `holds` keeps one answer, `delays` one request, until the event is set; `holding` says that it is kept.
    """

    def __init__(self, upstream: str, host: str, port: int = 7401) -> None:
        self.endpoint = f"http://{host}:{port}"
        self.faults: dict[str, Fault] = {}
        self.edits: dict[str, Callable[[Answer], Answer]] = {}
        self.refusals: dict[str, tuple[int, Answer]] = {}
        self.holds: dict[str, asyncio.Event] = {}
        self.delays: dict[str, asyncio.Event] = {}
        self.holding = asyncio.Event()
        self.seen: Counter[str] = Counter()
        self._upstream, self._host, self._port = upstream, host, port

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{path:.*}", self._pass)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        self.seen[request.path] += 1
        fault = self.faults.get(request.path)
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        if fault is Fault.SWALLOW:
            request.transport.abort()
            return web.Response()
        if request.path in self.refusals:
            status, told = self.refusals[request.path]
            return web.json_response(told, status=status)
        if request.path in self.delays:
            self.holding.set()
            await self.delays.pop(request.path).wait()
        headers = {
            k: v for k, v in request.headers.items() if k.lower() in ("authorization", "grpc-metadata-hasleader")
        }
        body = await request.read()
        async with self._session.post(self._upstream + request.path, data=body, headers=headers) as answer:
            if request.path == "/v3/watch":
                return await self._stream(request, answer)
            told = await answer.json(content_type=None)
            if request.path in self.holds:
                self.holding.set()
                await self.holds.pop(request.path).wait()
            if fault is Fault.CUT:
                request.transport.abort()
            edit = self.edits.get(request.path, lambda same: same)
            return web.json_response(edit(told), status=answer.status)

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
            if self.faults.get(request.path) is Fault.CUT_LATER:
                request.transport.abort()
                break
        return response
