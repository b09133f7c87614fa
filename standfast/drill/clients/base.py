"""The interface between a load and a broker's protocol."""

from collections.abc import Callable
from typing import Protocol

Answered = Callable[[int, bool], None]
"""Called with the token of a send and whether the broker acknowledged (True) or refused (False) it."""
Received = Callable[[bytes], None]
"""Called with each message; when it returns, the message is acknowledged to the broker."""
Lost = Callable[[], None]
"""Called once when the connection is gone, whoever ended it."""


class NotConnected(Exception):  # noqa: N818 - an answer, not a mistake
    """This attempt failed; another one may succeed. The message says why."""


class Connection(Protocol):
    """One connection. When it breaks it is of no further use."""

    def send(self, token: int, payload: bytes) -> None:
        """Send a message at once; ignored when the connection is gone. The token comes back with the answer."""
        ...

    def close(self) -> None:
        """Abort the connection without a farewell."""
        ...


class Client(Protocol):
    """A broker's protocol. Each method makes one attempt: raises NotConnected, or UsageError for a refused login.

    Attributes:
        consumer_attempts: how many connection attempts of one consumer may be under way at once.
    """

    consumer_attempts: int

    async def prepare(self) -> None:
        """Make whatever stores the messages of this run, durably. Harmless when it is there."""
        ...

    async def producer(self, answered: Answered, lost: Lost) -> Connection:
        """Connect a producer."""
        ...

    async def consumer(self, index: int, received: Received, lost: Lost) -> Connection:
        """Connect a consumer, which goes on where the same index left off."""
        ...

    async def read_back(self) -> list[bytes]:
        """Every message stored for this run, in no particular order, repeats included."""
        ...

    async def discard(self) -> None:
        """Remove what `prepare` made, and the messages with it."""
        ...
