"""What the API's process may take of the machine and of the member, whoever asks for what. One table of numbers."""

import os
import resource

NICE = 10
"""Below the daemon, which must send its heartbeats in time."""
MEMORY_BYTES = 768 * 1024 * 1024
FILES = 1024

MAX_CONNECTIONS = 256
MAX_STREAMS = 64
MAX_BODY_BYTES = 64 * 1024
IDLE_S = 15.0
"""Longest time without a whole request on an open connection."""
REQUEST_S = 30.0
"""Longest time from a whole head to the end of the answer, streams aside."""
HANDSHAKE_S = 5.0
STALLED_S = 10.0
"""Longest time for a follower to take what is sent to it."""

ASK_S = 10.0
"""Longest wait for the member's answer."""
LOOK_EVERY_S = 0.25
"""Between two looks at the member while somebody follows, and the age at which a look is old."""
LOOK_SHARE = 0.02
"""The largest part of its time that a member spends on being looked at: the longer it takes, the rarer."""
PLAY_S = 20.0
"""Longest time for a what-if."""
EVENTS_KEPT = 5000


def humble() -> None:
    """Make this process yield to the others, and keep it within its bounds."""
    os.nice(NICE)
    for what, most in ((resource.RLIMIT_DATA, MEMORY_BYTES), (resource.RLIMIT_NOFILE, FILES)):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # noqa: PLW2901 - the smaller of both
        resource.setrlimit(what, (most, most))
