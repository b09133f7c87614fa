"""A daily window `HH:MM-HH:MM`: from its first minute to before its last; over midnight if the end is first."""

import re
from datetime import time

from msgspec import Struct

_TEXT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)\Z")


class WindowError(ValueError):
    """A text that is no window; the message says how to write one."""


class Window(Struct, frozen=True):
    """Local time of day from `opens` on, until before `closes`."""

    opens: time
    closes: time

    def holds(self, at: time) -> bool:
        """Whether that time of day is within it."""
        if self.opens < self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes


def window(text: str) -> Window:
    """The window that the text says; raises WindowError."""
    found = _TEXT.match(text)
    if found is None:
        raise WindowError(f'{text!r} is no daily window: write it as "HH:MM-HH:MM", such as "02:00-04:30".')
    from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
    opens, closes = time(from_hour, from_minute), time(to_hour, to_minute)
    if opens == closes:
        raise WindowError(f"{text!r} begins as it ends: for the whole day choose another policy.")
    return Window(opens, closes)
