"""What the API answers, apart from what the member reports itself, and the table from errors to status codes."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from standfast.cli.verdict import Headline, Remark
from standfast.cli.words import Level
from standfast.errors import (
    ClusterFileError,
    KeyFileError,
    NotSafe,
    Outdated,
    PromiseBroken,
    Refused,
    StandfastError,
    StoreError,
    Unreachable,
    UsageError,
)
from standfast.member.report import StatusReport
from standfast.model.events import Severity
from standfast.quorum.signals import Verdict

STATUS_OF: Mapping[type[StandfastError], int] = {
    UsageError: 400,
    ClusterFileError: 400,
    Refused: 409,
    NotSafe: 409,
    Outdated: 409,
    StoreError: 503,
    Unreachable: 503,
    KeyFileError: 500,
    PromiseBroken: 500,
    StandfastError: 500,
}
"""The first class that fits; a test walks all errors."""


def status_of(error: StandfastError) -> int:
    """The status code that says it."""
    return next(code for kind, code in STATUS_OF.items() if isinstance(error, kind))


class Problem(Exception):  # noqa: N818 - an answer
    """The request ends with this status code instead; see Failure."""

    def __init__(self, status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.error, self.message, self.headers = status, error, message, dict(headers or {})


class Failure(Struct, frozen=True, kw_only=True):
    """Why there is no other answer.

    Attributes:
        error: name of a class in errors.py, or of a situation of the API.
        message: what happened, why, and what to do next.
    """

    error: str
    message: str


class Named(Struct, frozen=True):
    """A state in words: its name, how bad it is, what it means, what to do."""

    name: str
    level: Level
    meaning: str
    action: str


class Look(Struct, frozen=True, kw_only=True):
    """The cluster as the answering member sees it, judged and in words.

    Attributes:
        verdict: the first line of `standfast status`.
        remarks: everything that is not as it should be, the gravest kinds first.
        members: the state of each member in words, by name.
        queue_managers: likewise.
        report: what `standfast status --json` prints.
    """

    verdict: Headline
    remarks: tuple[Remark, ...]
    members: dict[str, Named]
    queue_managers: dict[str, Named]
    report: StatusReport


class Happened(Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        number: counts what this server has seen, from 1; for `since`.
        revision: of the store at which it was written; 0 for one that only the telling member holds.
        at_unix_ms: wall-clock time at the member that wrote it, in milliseconds since 1970 UTC.
        teller: the member that wrote it.
        kind: see docs/events.md; newer members may tell of others.
        severity: how soon a person should look.
        subject: the member or queue manager that it is about.
        meaning: what happened, in words.
        action: what to do next; empty when that is nothing.
        fields: details.
    """

    number: int
    revision: int
    at_unix_ms: int
    teller: str
    kind: str
    severity: Severity
    subject: str
    meaning: str
    action: str
    fields: dict[str, str | int | float | bool | None]


class Ordered(Struct, frozen=True, kw_only=True):
    """What became of an order. Done means that it stands in the store, not that it is carried out.

    Attributes:
        verdict: a word; None when it was only a question (`dry`).
        sentence: the same in words.
        consequences: what will happen, sentence by sentence, as things stand; only for a question.
        advised: whether nothing speaks against it; only for a question.
    """

    verdict: Verdict | None
    sentence: str
    consequences: tuple[str, ...] = ()
    advised: bool = True


class Session(Struct, frozen=True, kw_only=True):
    """Who asks: the name of the token or certificate, and its right; both empty for nobody."""

    name: str
    right: str
    cluster: str
    member: str


class Safe(Struct, frozen=True, kw_only=True):
    """Whether a member may be stopped now, what it would cost, and the facts in words."""

    safe: bool
    sentences: tuple[str, ...]


class Step(Struct, frozen=True):
    """One moment of a story: so long after what is supposed, this happens."""

    at_ms: float
    sentence: str


class End(Struct, frozen=True, kw_only=True):
    """What becomes of a queue manager: where it ran, where it runs then (None: nowhere), under which epoch."""

    name: str
    was_on: str | None
    runs_on: str | None
    epoch: int


class Foretold(Struct, frozen=True, kw_only=True):
    """The answer to what-if.

    Attributes:
        supposed: the question, as it is asked on the command line.
        all_run: whether every queue manager would run at the end.
        survives_one_more: whether one further loss would then cost nothing.
        cautions: what to know before believing it.
        story: what would happen, moment by moment.
        queue_managers: what becomes of them.
        weak_points: what one further loss would cost, in words.
    """

    supposed: str
    all_run: bool
    survives_one_more: bool
    cautions: tuple[str, ...]
    story: tuple[Step, ...]
    queue_managers: tuple[End, ...]
    weak_points: tuple[str, ...]


Json = Any
"""A value that goes out as it is."""
