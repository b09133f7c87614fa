"""Waiting for something to be so."""

import time
from collections.abc import Callable

from tests.vm.machines import POLL_S, Failed

WAIT_S = 180.0
"""Long enough for machines on a busy host; how long something takes is noted, and not judged."""


def until(what: str, condition: Callable[[], object], timeout_s: float = WAIT_S) -> float:
    """Wait until it is so; how long that took, in seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            raise Failed(f"{what}: not within {timeout_s} s")
        time.sleep(POLL_S)
    return time.monotonic() - began
