"""A stand-in for the metadata service of an EC2 instance (IMDSv2), written from AWS's documentation of it.

PUT /latest/api/token with a time to live gives a token; GET without a valid one is answered 401; what is not set, 404.
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "X-aws-ec2-metadata-token"


class MetadataStandIn:
    """`items`: what is below /latest/, by path; `asked`: every path that was asked for with a valid token."""

    def __init__(self, items: dict[str, str], at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.items = items
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.server = ThreadingHTTPServer(at, self._handler())

    def items_for(self, address: str) -> dict[str, str]:
        """What there is for who asks from that address."""
        return self.items

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                ttl_s = self.headers.get(f"{TOKEN}-ttl-seconds", "")
                if self.path != "/latest/api/token" or not ttl_s.isdecimal() or not 1 <= int(ttl_s) <= 21600:
                    return self._answer(400, "")
                service.tokens.add(token := secrets.token_hex(16))
                return self._answer(200, token)

            def do_GET(self) -> None:
                if self.headers.get(TOKEN) not in service.tokens:
                    return self._answer(401, "")
                path = self.path.removeprefix("/latest/")
                service.asked.append(path)
                items = service.items_for(self.client_address[0])
                return self._answer(200, items[path]) if path in items else self._answer(404, "")

            def _answer(self, status: int, body: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextlib.contextmanager
def metadata(**items: str) -> Iterator[MetadataStandIn]:
    """One that runs; items with `__` for `/` and `_` for `-` in their names, below meta-data."""
    named = {f"meta-data/{name.replace('__', '/').replace('_', '-')}": text for name, text in items.items()}
    service = MetadataStandIn(named)
    thread = threading.Thread(target=service.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        service.server.server_close()
        thread.join()
