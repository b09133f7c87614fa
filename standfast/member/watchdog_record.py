"""What the state directory remembers of the watchdog, so that a start after a reset can say what happened.

Written when the watchdog is started, when its feeding ends with something still running (then with the moment at which
it fires), when it is fed again, and when it was stopped: a few times for each run of a queue manager, never for a
heartbeat. A record that is not at rest and comes from another boot says that the machine went down under the watchdog.

Standard library only: the warden writes the last word itself when it has no daemon any more and nothing to run.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from standfast.member.durable import write_durably
from standfast.member.processes import boot_id

FILE = "watchdog.json"


class Phase(StrEnum):
    """How far it had come."""

    AT_REST = "at_rest"
    ARMED = "armed"  # fed as long as the lease was renewed
    STARVED = "starved"  # no longer fed, and not stopped yet


class Record(NamedTuple):
    """One state of the watchdog.

    Attributes:
        boot: id of the boot in which it was written.
        phase: how far it had come.
        device: its path.
        timeout_s: the time-out in force, in seconds.
        at_unix_ms: wall-clock time at which the phase began, in milliseconds since 1970 UTC.
        until_unix_ms: when it fires, likewise; 0 while it is fed or at rest.
    """

    boot: str
    phase: Phase
    device: str = ""
    timeout_s: int = 0
    at_unix_ms: int = 0
    until_unix_ms: int = 0

    @property
    def unsettled(self) -> bool:
        """Whether the machine went down before the watchdog was stopped."""
        return self.phase is not Phase.AT_REST and self.boot != boot_id()


def write(file: Path, record: Record) -> None:
    """Make it durable; raises OSError."""
    write_durably(file, json.dumps(record._asdict()).encode())


def write_at_rest(file: Path) -> None:
    """Say that it was stopped; raises OSError."""
    write(file, Record(boot_id(), Phase.AT_REST))


def read(file: Path) -> Record | None:
    """The record; None when there is none, or none that can be read."""
    try:
        fields = json.loads(file.read_bytes())
        return Record(**{**fields, "phase": Phase(fields["phase"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
