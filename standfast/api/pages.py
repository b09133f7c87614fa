"""The page: a few files that come with the program, and no others."""

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import NamedTuple

from aiohttp import web

PLACE = "page"


class File(NamedTuple):
    """A file of the page, where it is served, and what it is."""

    path: str
    name: str
    kind: str


FILES = (
    File("/", "index.html", "text/html"),
    File("/page/look.css", "look.css", "text/css"),
    File("/page/main.js", "main.js", "text/javascript"),
    File("/page/build.js", "build.js", "text/javascript"),
    File("/page/cluster.js", "cluster.js", "text/javascript"),
    File("/page/graph.js", "graph.js", "text/javascript"),
    File("/page/history.js", "history.js", "text/javascript"),
    File("/page/actions.js", "actions.js", "text/javascript"),
    File("/page/mark.svg", "mark.svg", "image/svg+xml"),
)


def add(router: web.UrlDispatcher) -> None:
    """Serve them; they are read once. Compressed for who understands that: a telephone may be on a thin line."""
    for file in FILES:
        content = (files("standfast.api") / PLACE / file.name).read_bytes()
        router.add_get(file.path, _serving(content, gzip.compress(content, mtime=0), file.kind))


def _serving(plain: bytes, small: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    tag = f'"{hashlib.sha256(plain).hexdigest()[:16]}"'

    async def serve(request: web.Request) -> web.StreamResponse:
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        zipped = "gzip" in request.headers.get("Accept-Encoding", "")
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=small if zipped else plain, content_type=kind, charset="utf-8", headers=headers)

    return serve
