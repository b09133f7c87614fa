"""Asks a disposable child about DRBD: one that hangs on a frozen device is left behind, and another one is asked.

Guarantees: this process runs no program of DRBD's and touches no device; every question has a deadline.
"""

import asyncio
import json
from typing import Any

from standfast.disposable import Disposable
from standfast.storage.drbd import REQUEST_BYTES
from standfast.storage.drbd_state import Replica

CHILD = "standfast.storage.drbd"
ANSWER_S = 5.0
MOST_ABANDONED = 4


class DrbdTrouble(Exception):  # noqa: N818 - an answer, not a mistake
    """It could not be done, or nobody answered in time."""


class Hand:
    """One child at a time. Close it when done."""

    def __init__(self) -> None:
        self._child: Disposable | None = None
        self._abandoned: list[Disposable] = []

    async def state(self, minor: int) -> Replica | None:
        """What DRBD says of a device; None when it is not up. Raises DrbdTrouble."""
        found = await self.ask("state", minor=minor)
        return None if found is None else Replica(*found)

    async def ask(self, do: str, *, within_s: float = ANSWER_S, **arguments: Any) -> Any:
        """Have one of `drbd.DO` done; raises DrbdTrouble."""
        self._abandoned = [child for child in self._abandoned if not child.ended()]
        if len(self._abandoned) >= MOST_ABANDONED:
            raise DrbdTrouble(f"{MOST_ABANDONED} earlier questions about DRBD still hang")
        child = self._child = self._child or Disposable(CHILD)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within_s):
                await loop.sock_sendall(child.socket, json.dumps({"do": do, **arguments}).encode())
                packet = await loop.sock_recv(child.socket, REQUEST_BYTES)
        except (TimeoutError, OSError) as error:
            self.close()
            raise DrbdTrouble(f"{do}: no answer within {within_s:g} s") from error
        except BaseException:
            self.close()
            raise
        said = json.loads(packet) if packet else {"trouble": "the child has died"}
        if "trouble" in said:
            raise DrbdTrouble(said["trouble"])
        return said["answer"]

    def close(self) -> None:
        """Kill the child, and do not wait for it."""
        if self._child is not None:
            self._child.abandon()
            self._abandoned.append(self._child)
            self._child = None


__all__ = ["DrbdTrouble", "Hand"]
