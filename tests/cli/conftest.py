"""A member's control socket with a stand-in behind it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from standfast.member.control import ControlServer

from .stand_in import StandIn, Terminal


@pytest.fixture
def terminal(tmp_path) -> Iterator[Terminal]:
    """The stand-in's loop runs in a thread: commands bring an event loop of their own."""
    member, path = StandIn(), tmp_path / "b.sock"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ControlServer(path, member)
    asyncio.run_coroutine_threadsafe(server.open(), loop).result()
    yield Terminal(member, path)
    asyncio.run_coroutine_threadsafe(server.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
