"""From what the member reports to what the API tells: judged and in words. Pure: values in, values out."""

from collections.abc import Iterable, Sequence

from standfast.api.answers import Happened, Look, Named, Turn
from standfast.cli.events import severity
from standfast.cli.history import Takeover, takeovers
from standfast.cli.verdict import headline, member_words, qm_words, remarks
from standfast.cli.words import Words
from standfast.member.control_protocol import EventLine
from standfast.member.report import StatusReport
from standfast.model.events import CATALOGUE, EventKind

NOTHING_TO_DO = "Nothing to do."
AFTER_MS = 2_000
"""An eviction longer ago than this did not lead to the takeover."""
_DOUBTS = frozenset({EventKind.MEMBER_IN_DOUBT, EventKind.MEMBER_TOLD_TO_GO})


def look(report: StatusReport) -> Look:
    """A report, judged."""
    return Look(
        verdict=headline(report),
        remarks=tuple(remarks(report)),
        members={member.name: _named(member_words(report, member)) for member in report.members},
        queue_managers={qm.name: _named(qm_words(report, qm)) for qm in report.queue_managers},
        report=report,
    )


def _named(words: Words) -> Named:
    return Named(*words)


def happened(number: int, line: EventLine) -> Happened:
    """An event with what it means."""
    entry = CATALOGUE[EventKind(line.kind)] if line.kind in set(EventKind) else None
    return Happened(
        number=number,
        revision=line.revision,
        at_unix_ms=line.at_unix_ms,
        teller=line.teller,
        kind=line.kind,
        severity=severity(line.kind),
        subject=line.subject,
        meaning=entry.meaning if entry else "A newer member tells of it.",
        action=entry.action if entry and entry.action != NOTHING_TO_DO else "",
        fields=line.fields,
    )


def turns(lines: Iterable[EventLine]) -> Sequence[Turn]:
    """Takeovers, moves and restarts, oldest first, with how long each step took."""
    log = list(lines)
    return [
        Turn(
            at_unix_ms=takeover.at_unix_ms,
            qm=takeover.qm,
            was=takeover.was,
            owner=takeover.owner,
            epoch=takeover.epoch,
            why=takeover.why,
            noticed_ms=_noticed_ms(log, takeover),
            took_ms=takeover.took_ms,
        )
        for takeover in takeovers(log)
    ]


def _noticed_ms(log: Sequence[EventLine], takeover: Takeover) -> int | None:
    """From the last doubt about the owner before, if its eviction is what led to this."""
    told = [line for line in log if line.subject == takeover.was and line.at_unix_ms <= takeover.at_unix_ms]
    evicted = [line for line in told if line.kind == EventKind.MEMBER_EVICTED]
    doubts = [line for line in told if line.kind in _DOUBTS]
    if takeover.was == takeover.owner or not evicted or not doubts:
        return None
    if takeover.at_unix_ms - evicted[-1].at_unix_ms > AFTER_MS:
        return None
    return takeover.at_unix_ms - doubts[-1].at_unix_ms
