"""What a minder is told about its queue manager, and how the time for a stop is shared between its stages.

Values only. Fields and their meaning are those of `ports.Tended`. Standard library only.
"""

import signal
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

_NS_PER_S = 1_000_000_000


class Stage(NamedTuple):
    """One step of a stop: see `ports.StopStage`."""

    argv: tuple[str, ...]
    signal: int
    share: float


class Outside(NamedTuple):
    """See `ports.Outside`."""

    cgroup: str
    permit: str


class Plan(NamedTuple):
    """See `ports.Tended`; and `stop_ns`, `hurry_ns`: what a stop may take, asked for or because the lease runs out.

    `status_file` is where the answers of the status command are written.
    """

    foreground: bool
    started: tuple[int, ...]
    status: tuple[str, ...]
    serves: tuple[int, ...]
    stopped: tuple[int, ...]
    every_ns: int
    deadline_ns: int
    stop: tuple[Stage, ...]
    processless: bool
    user: str
    outside: Outside | None
    stop_ns: int
    hurry_ns: int
    status_file: str

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> "Plan":
        """From a JSON object; raises KeyError, TypeError, ValueError for a missing or wrong field."""
        how, outside = fields["how"], fields["how"]["outside"]
        stages = tuple(
            Stage(_words(stage["argv"]), signal.Signals(stage["signal"]), float(stage["share"]))
            for stage in how["stop"]
        )
        if not stages or any(not 0 < stage.share <= 1 for stage in stages):
            raise ValueError(f"stop = {stages} must have stages, each with a share of (0, 1]")
        if outside and not (str(outside["cgroup"]).startswith("/") and ".." not in str(outside["cgroup"])):
            raise ValueError(f"cgroup = {outside['cgroup']!r} must be a path below the root of the hierarchy")
        return cls(
            foreground=bool(how["foreground"]),
            started=_codes(how["started"]),
            status=_words(how["status"]),
            serves=_codes(how["serves"]),
            stopped=_codes(how["stopped"]),
            every_ns=_nanoseconds(how["every_s"]),
            deadline_ns=_nanoseconds(how["deadline_s"]),
            stop=stages,
            processless=bool(how["processless"]),
            user=str(how["user"]),
            outside=Outside(str(outside["cgroup"]), str(outside["permit"])) if outside else None,
            stop_ns=_nanoseconds(fields["stop_s"]),
            hurry_ns=_nanoseconds(fields["hurry_s"]),
            status_file=str(fields["status_file"]),
        )


def _words(value: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(word) for word in value)


def _codes(value: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(code) for code in value)


def _nanoseconds(seconds: Any) -> int:
    return int(float(seconds) * _NS_PER_S)


class Ladder:
    """When each stage of a stop is over; moments in nanoseconds.

    Attributes:
        index: of the stage that is on; -1 before the first.
    """

    def __init__(self, stages: Sequence[Stage], now_ns: int, budget_ns: int) -> None:
        self._shares = [stage.share for stage in stages]
        self._until_ns = now_ns + budget_ns
        self._ends_ns = [now_ns + int(sum_ * budget_ns) for sum_ in accumulate(self._shares)]
        self.index = -1

    def hurry(self, now_ns: int, budget_ns: int) -> None:
        """There is only so much time from now: the stages not over yet share it as they would have shared the rest."""
        if now_ns + budget_ns >= self._until_ns:
            return
        self._until_ns = now_ns + budget_ns
        first = max(self.index, 0)
        rest = max(1 - sum(self._shares[:first]), self._shares[first] if first < len(self._shares) else 1)
        for number, sum_ in enumerate(accumulate(self._shares[first:]), first):
            self._ends_ns[number] = now_ns + int(sum_ / rest * budget_ns)

    @property
    def over(self) -> bool:
        """Whether there is no stage left."""
        return self.index >= len(self._shares)

    @property
    def ends_ns(self) -> int | None:
        """End of the stage that is on; None when none is."""
        return self._ends_ns[self.index] if 0 <= self.index < len(self._shares) else None
