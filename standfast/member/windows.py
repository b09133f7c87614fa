"""Tells the core which queue managers may move back by themselves now, by the local clock."""

import asyncio
from collections.abc import Callable
from datetime import datetime, time

from standfast.clusterfile.window import WindowError, window
from standfast.model.view import View
from standfast.quorum.signals import FailbackWindows

LOOK_EVERY_S = 20.0
"""A window is open or closed this much late at most."""


class Windows:
    """Of all queue managers in `view()`; `now` gives the local time of day."""

    def __init__(
        self,
        view: Callable[[], View],
        give: Callable[[FailbackWindows], None],
        now: Callable[[], time] = lambda: datetime.now().astimezone().time(),
    ) -> None:
        self._view = view
        self._give = give
        self._now = now
        self._opened: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Tell the core when something has opened or closed since the last look."""
        at = self._now()
        opened = frozenset(name for name, kept in self._view().specs.items() if _open(kept.record.failback_window, at))
        if opened != self._opened:
            self._opened = opened
            self._give(FailbackWindows(opened))


def _open(text: str, at: time) -> bool:
    """Whether the window is open; one that a newer release wrote, and this one can not read, is not."""
    try:
        return bool(text) and window(text).holds(at)
    except WindowError:
        return False
