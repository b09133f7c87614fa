"""The two sides that try storage out together: this machine, and another that is asked by way of the storage.

Guarantees: nothing here makes a system call on the storage; every request has a deadline, and a child that hangs is
left behind. The other side does only what `verify_child` offers, in one folder: it is never told a path.

The other side is reached through the storage itself, by two small files: so it needs no port, no key, no running
daemon, and works before there is a cluster. When the storage is not shared, no answer comes, and that is the finding.
"""

import asyncio
import json
import time
from typing import Any, Protocol

from standfast.disposable import Disposable
from standfast.storage.verify_child import DO, REQUEST_BYTES

CHILD = "standfast.storage.verify_child"
STEP_S = 30.0
"""Longest time for one request, unless it is made to wait."""
MAIL_S = 10.0
"""Longest time for one look into a box, or one message into it."""
POLL_S = 0.02
LEADER, PARTNER = "leader", "partner"
HANDS = ("work", "hold")
"""Children of one side: what one of them holds, the death of the other does not end."""
KILL, BYE = "kill", "bye"


class Hung(Exception):  # noqa: N818 - an answer, not a mistake
    """No answer came in time."""


class WentWrong(Exception):  # noqa: N818 - an answer, not a mistake
    """The file system answered with an error."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.errno = number


class Side(Protocol):
    """Who does what a step asks for."""

    async def ask(self, do: str, *, hand: str = "work", within_s: float = STEP_S, **arguments: Any) -> dict[str, Any]:
        """Have it done; raises Hung, WentWrong."""
        ...

    async def kill(self, hand: str) -> None:
        """End that child at once, with all that it holds."""
        ...


class Here:
    """This machine. Close it when done."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._children: dict[str, Disposable] = {}

    async def begin(self, *, clean: bool, within_s: float = STEP_S) -> dict[str, Any]:
        """Use the directory; the facts about it. Raises Hung, WentWrong."""
        return await self.ask("begin", within_s=within_s, path=self._path, clean=clean)

    async def ask(self, do: str, *, hand: str = "work", within_s: float = STEP_S, **arguments: Any) -> dict[str, Any]:
        """Have it done by a child of this machine; raises Hung, WentWrong."""
        child = self._children.get(hand)
        if child is None:
            child = self._children[hand] = Disposable(CHILD)
            if do != "begin":
                await self._put(child, hand, {"do": "begin", "path": self._path, "clean": False}, within_s)
        return await self._put(child, hand, {"do": do, **arguments}, within_s)

    async def _put(self, child: Disposable, hand: str, request: dict[str, Any], within_s: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within_s):
                await loop.sock_sendall(child.socket, json.dumps(request).encode())
                packet = await loop.sock_recv(child.socket, REQUEST_BYTES)
        except (TimeoutError, OSError) as error:
            self._leave(hand)
            raise Hung(f"{request['do']}: no answer within {within_s:g} s") from error
        except BaseException:
            self._leave(hand)
            raise
        answer: dict[str, Any] = json.loads(packet) if packet else {"ok": False, "errno": 0, "error": "it has died"}
        if not answer.pop("ok"):
            raise WentWrong(answer["errno"], answer["error"])
        return answer

    def _leave(self, hand: str) -> None:
        child = self._children.pop(hand, None)
        if child is not None:
            child.abandon()

    async def kill(self, hand: str) -> None:
        """SIGKILL; the kernel gives its locks back."""
        self._leave(hand)

    def close(self) -> None:
        """End the children; one that hangs is left to the kernel."""
        for hand in list(self._children):
            self._leave(hand)


class There:
    """The other side, by the leader's box and the partner's: one request at a time."""

    def __init__(self, here: Here, run: str) -> None:
        self._here = here
        self._run = run
        self._number = 0

    async def ask(
        self, do: str, *, hand: str = "work", within_s: float = STEP_S, way_s: float = MAIL_S, **arguments: Any
    ) -> dict[str, Any]:
        """Have it done by the other side, to which request and answer may take `way_s`; raises Hung, WentWrong."""
        self._number += 1
        asked = {"run": self._run, "number": self._number, "do": do, "hand": hand, "within_s": within_s}
        await self._mail("post", box=LEADER, message={**asked, "arguments": arguments})
        deadline = time.monotonic() + within_s + way_s
        while time.monotonic() < deadline:
            said = (await self._mail("peek", box=PARTNER))["message"]
            if said is not None and (said["run"], said["number"]) == (self._run, self._number):
                answer: dict[str, Any] = said["answer"]
                if answer.pop("hung", None):
                    raise Hung(f"{do}: no answer within {within_s:g} s at the other side")
                if "errno" in answer:
                    raise WentWrong(answer["errno"], answer["error"])
                return answer
            await asyncio.sleep(POLL_S)
        raise Hung(f"{do}: the other side did not answer within {within_s + way_s:g} s")

    async def _mail(self, do: str, **arguments: Any) -> dict[str, Any]:
        return await self._here.ask(do, hand="mail", within_s=MAIL_S, **arguments)

    async def kill(self, hand: str) -> None:
        """Have that child of the other side killed."""
        await self.ask(KILL, hand=hand)


async def serve(here: Here, patience_s: float) -> str:
    """Be the other side until the leader says that it is done; its run. Raises Hung when nobody asks for long."""
    done: tuple[str, int] = ("", 0)
    heard = time.monotonic()
    while time.monotonic() < heard + patience_s:
        try:
            asked = (await here.ask("peek", hand="mail", within_s=MAIL_S, box=LEADER))["message"]
        except Hung:
            continue
        if asked is None or (asked["run"], asked["number"]) == done:
            await asyncio.sleep(POLL_S)
            continue
        done, heard = (asked["run"], asked["number"]), time.monotonic()
        answer = await _carried_out(here, asked)
        message = {"run": asked["run"], "number": asked["number"], "answer": answer}
        await here.ask("post", hand="mail", within_s=MAIL_S, box=PARTNER, message=message)
        if asked["do"] == BYE:
            return str(asked["run"])
    raise Hung(f"nobody asked for anything for {patience_s:g} s")


async def _carried_out(here: Here, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request, whatever becomes of it."""
    do, hand = asked["do"], asked["hand"]
    if hand not in HANDS:
        return {"errno": 0, "error": f"no hand {hand}"}
    try:
        if do == KILL:
            await here.kill(hand)
        elif do == "begin":
            return await here.begin(clean=False)
        elif do in DO:
            return await here.ask(do, hand=hand, within_s=asked["within_s"], **asked["arguments"])
    except Hung:
        return {"hung": True}
    except WentWrong as error:
        return {"errno": error.errno, "error": str(error)}
    return {}


__all__ = ["Here", "Hung", "Side", "There", "WentWrong", "serve"]
