"""From what the member reports to what the API tells: judged and in words. Pure: values in, values out."""

from standfast.api.answers import Happened, Look, Named
from standfast.cli.events import severity
from standfast.cli.verdict import headline, member_words, qm_words, remarks
from standfast.cli.words import Words
from standfast.member.control_protocol import EventLine
from standfast.member.report import StatusReport
from standfast.model.events import CATALOGUE, EventKind

NOTHING_TO_DO = "Nothing to do."


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
