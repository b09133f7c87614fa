"""What IBM MQ's commands answer: every documented status of dspmq and return code of strmqm and endmqm, in tables.

From IBM's command reference, 9.2 to 9.4. A word that is not in the table counts as "not healthy, unknown". Standard
library only: the commands that a minder runs read it too.
"""

import re
from enum import StrEnum
from typing import NamedTuple


class Standing(StrEnum):
    """What a status means for this member."""

    SERVES = "serves"
    COMING = "coming"
    GOING = "going"
    GONE = "gone"
    ELSEWHERE = "elsewhere"  # another instance is active, not under this member's control
    UNKNOWN = "unknown"


STATUSES: dict[str, Standing] = {
    "STARTING": Standing.COMING,
    "RUNNING": Standing.SERVES,
    "RUNNING AS STANDBY": Standing.ELSEWHERE,
    "RUNNING ELSEWHERE": Standing.ELSEWHERE,
    "QUIESCING": Standing.GOING,
    "ENDING IMMEDIATELY": Standing.GOING,
    "ENDING PREEMPTIVELY": Standing.GOING,
    "ENDED NORMALLY": Standing.GONE,
    "ENDED IMMEDIATELY": Standing.GONE,
    "ENDED UNEXPECTEDLY": Standing.GONE,
    "ENDED PREEMPTIVELY": Standing.GONE,
    "STATUS NOT AVAILABLE": Standing.UNKNOWN,
    "NOT AVAILABLE": Standing.UNKNOWN,
    "REPLICA": Standing.ELSEWHERE,
    "RECOVERY GROUP LEADER": Standing.ELSEWHERE,
    "BEING DELETED": Standing.GOING,
}
"""STATUS(...) of `dspmq -n`, normalised."""

STATUS_CODES: dict[Standing, int] = {
    Standing.SERVES: 0,
    Standing.UNKNOWN: 1,
    Standing.COMING: 2,
    Standing.GONE: 3,
    Standing.GOING: 4,
    Standing.ELSEWHERE: 5,
}
"""Exit codes of the status command."""


class Code(NamedTuple):
    """A return code: what it means, and whether the queue manager was started or, for endmqm, has ended."""

    meaning: str
    good: bool = False


STRMQM: dict[int, Code] = {
    0: Code("started", good=True),
    1: Code("started with a warning", good=True),
    2: Code("call failed"),
    3: Code("being created"),
    5: Code("already running"),
    16: Code("does not exist"),
    23: Code("log not available"),
    24: Code("a process of the previous instance is still there"),
    30: Code("a standby instance was started: another instance is active"),
    31: Code("another instance is active and permits standbys"),
    39: Code("invalid parameter"),
    43: Code("another instance is active and does not permit standbys"),
    47: Code("the maximum number of standbys is there already"),
    49: Code("stopping"),
    58: Code("inconsistent use of installations"),
    62: Code("associated with another installation"),
    69: Code("storage not available"),
    71: Code("unexpected error"),
    72: Code("queue manager name error"),
    74: Code("the MQ service is not started"),
    91: Code("command level outside of the range"),
    92: Code("command level at or above the one asked for"),
    94: Code("a native HA replica was started"),
    100: Code("log location invalid"),
    119: Code("not authorised"),
}

ENDMQM: dict[int, Code] = {
    0: Code("ended", good=True),
    3: Code("being created"),
    16: Code("does not exist", good=True),
    39: Code("invalid parameter"),
    40: Code("not available: it does not run", good=True),
    49: Code("stopping"),
    58: Code("inconsistent use of installations"),
    62: Code("associated with another installation"),
    69: Code("storage not available"),
    71: Code("unexpected error"),
    72: Code("queue manager name error"),
    77: Code("can not switch over"),
    79: Code("the active instance did not end"),
    90: Code("the standby instance did not end"),
    119: Code("not authorised"),
}

_FIELD = re.compile(r"([A-Z]+)\(([^)]*)\)")
STANZA_MISSING = 44
"""Return code of dspmqinf for a queue manager that this machine does not know."""
STANZA_THERE = 45
"""Return code of addmqinf for one that it knows already."""


def fields(line: str) -> dict[str, str]:
    """NAME(value) pairs of a line, as dspmq prints them."""
    return dict(_FIELD.findall(line))


def standing(status: str) -> Standing:
    """What a status means, written with or without hyphens and in any case."""
    plain = " ".join(status.upper().replace("-", "").split())
    return STATUSES.get(plain, Standing.UNKNOWN)


def status_of(printed: str, qm: str) -> str:
    """The status of that queue manager in what dspmq printed; empty when it is not there."""
    for line in printed.splitlines():
        found = fields(line) if line.startswith("QMNAME(") else {}
        if found.get("QMNAME") == qm:
            return found.get("STATUS", "")
    return ""
