"""What `standfast watch` shows, made to fit a terminal of any size. Pure: values in, lines out.

Nothing hangs on a colour: states are words, bars have figures, and who does not hear whom is a letter.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.text import Text

from standfast.cli.events import severity
from standfast.cli.screen import hanging, moment, styled
from standfast.cli.status import facts, summary
from standfast.cli.verdict import LEVEL_OF, copy_words, member_words, qm_words
from standfast.cli.words import STYLES, Level, duration, plain
from standfast.member.control_protocol import EventLine
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport
from standfast.member.turns import Takeover, takeovers
from standfast.model.cluster import Role
from standfast.model.events import Severity

WIDE = 110
"""From this width on events stand beside the rest, not below."""
LONG = 18
"""Lines that must be left for events before store and timing are shown above them."""
GAP = 3
BAR = 16
TURNS = 5
LATE = 3
"""Intervals of silence from which figures are shown: while all is well they would only flicker."""
_SIGNS = {Severity.INFO: " ", Severity.WARNING: "!", Severity.CRITICAL: "X"}
_TOLD = ("reason", "why", "owner", "to", "was", "by", "verdict", "detail")


class Seen(NamedTuple):
    """What there is to show: the newest report, events oldest first, and why there is no newer report."""

    report: StatusReport | None
    lines: Sequence[EventLine]
    trouble: str


def view(seen: Seen, width: int, height: int) -> Text:
    """The whole screen, `height` lines of at most `width`."""
    report = seen.report
    top = hanging("NO ANSWER", seen.trouble, width, STYLES[Level.PROBLEM]) if seen.trouble else []
    if report is None:
        return _joined(top or [Text("Asking ...")], width, height)
    top += summary(report, width)
    wide = width >= WIDE
    left_width = (width - GAP) * 11 // 20 if wide else width
    left = [*_queue_managers(report, max(3, height // 4)), Text(), *_members(report, left_width)]
    if width >= WIDE or height >= len(top) + len(left) + len(report.members) + 12:
        left += [Text(), *_hearing(report)]
    left += [Text(), *_turns(takeovers(seen.lines), left_width)]
    if wide or height >= len(top) + len(left) + LONG:
        left += [Text(), *facts(report)]
    foot = Text(
        f"{report.cluster}, seen by {report.answered_by} at {moment(report.at_unix_ms)[11:19]}   q quits", "dim"
    )
    room = height - len(top) - 2
    if wide:
        body = _beside(left, _events(seen.lines, width - left_width - GAP, room), left_width, room)
    else:
        body = [*left, Text(), *_events(seen.lines, width, room - len(left) - 1)][:room]
    body += [Text()] * (room - len(body))
    return _joined([*top, Text(), *body, foot], width, height)


def _joined(lines: Iterable[Text], width: int, height: int) -> Text:
    shown = list(lines)[:height]
    for line in shown:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(shown)


def _beside(left: Sequence[Text], right: Sequence[Text], width: int, height: int) -> list[Text]:
    lines = []
    for number in range(min(height, max(len(left), len(right)))):
        line = left[number].copy() if number < len(left) else Text()
        line.truncate(width, overflow="ellipsis", pad=True)
        lines.append(Text.assemble(line, " " * GAP, right[number] if number < len(right) else ""))
    return lines


def _head(title: str) -> Text:
    return Text(title, "dim")


# ---------------------------------------------------------------- parts


def _queue_managers(report: StatusReport, room: int) -> list[Text]:
    """One line each, and one for copies; those that do not run first, so that those beyond the room are well."""
    found = sorted(report.queue_managers, key=lambda qm: (qm_words(report, qm).level is Level.OK, qm.name))
    shown = found[:room]
    names = max((len(qm.name) for qm in shown), default=0)
    lines = [_head("QUEUE MANAGERS")]
    for qm in shown:
        lines += [_queue_manager(report, qm, names), *_copies(report, qm)]
    return [*lines, Text(f"and {len(found) - room} more")] if len(found) > room else lines


def _queue_manager(report: StatusReport, qm: QueueManagerReport, names: int) -> Text:
    words = qm_words(report, qm)
    where = f"{qm.owner or '-'} -> {qm.target}" if qm.target else (qm.owner or "-")
    line = Text.assemble((f"{qm.name:{names}}", "bold"), "  ", styled(words.name, words.level), f" on {where}")
    line.append(f"  {qm.kind}  epoch {qm.epoch}", "dim")
    ready = [m.name for m in report.members if _ready(report, m, qm)]
    return line.append(f"  standby: {', '.join(ready) or 'NOBODY'}", "" if ready else STYLES[Level.WARNING])


def _copies(report: StatusReport, qm: QueueManagerReport) -> list[Text]:
    words = copy_words(report, qm)
    return [Text(f"  copies: {words}", STYLES[Level.WARNING] if qm.outdated else "")] if words else []


def _ready(report: StatusReport, member: MemberReport, qm: QueueManagerReport) -> bool:
    """Whether a member other than the owner could take it over now, as far as is known."""
    fit = not {qm.name, "*"} & {*member.unfit} and member.name not in {*qm.failed_on, *qm.outdated}
    free = member.name not in report.orders.drained and not member.quarantined and member.leased
    up = member_words(report, member).level is Level.OK
    return member.role is Role.DATA and member.name != qm.owner and fit and free and up


def _members(report: StatusReport, width: int) -> list[Text]:
    names = max(len(member.name) for member in report.members)
    return [_head("MEMBERS"), *(_member(report, member, names, width) for member in report.members)]


def _member(report: StatusReport, member: MemberReport, names: int, width: int) -> Text:
    words = member_words(report, member)
    line = Text.assemble((f"{member.name:{names}}", "bold"), "  ", styled(f"{words.name:9}", words.level), "  ")
    line.append_text(_lease(report, member))
    notes = [member.role.value] + ["coordinator"] * member.coordinator + ["store leader"] * bool(member.store_leader)
    notes += ["drained"] * (member.name in report.orders.drained) + ["quarantined"] * member.quarantined
    line.append("  " + ", ".join(notes), "dim")
    line.truncate(width, overflow="ellipsis")
    return line


def _lease(report: StatusReport, member: MemberReport) -> Text:
    """What is left of a lease, at most, as a bar; of a silent member that is a term after its last word."""
    timing, here = report.timing, member.name == report.answered_by
    late = not here and (member.heard_ms is None or member.heard_ms > LATE * timing.interval_ms)
    silent = "never heard" if member.heard_ms is None else f"silent {duration(member.heard_ms)}" if late else ""
    if member.role is Role.WITNESS:
        return Text(f"{'':{BAR + 2}} {silent or 'votes only'}")
    left_ms = member.lease_left_ms
    if left_ms is None:
        spoke = member.heard_ms is not None and (member.leased or late)
        left_ms = max(0, timing.term_ms - (member.heard_ms or 0)) if spoke else 0
    full = min(BAR, round(BAR * left_ms / timing.term_ms))
    stop_ms = timing.graceful_ms + timing.kill_ms
    level = Level.PROBLEM if not left_ms else Level.WARNING if left_ms < stop_ms else Level.OK
    said = "no lease" if not left_ms else f"at most {duration(left_ms)}" if late else "lease held"
    bar = Text.assemble("[", ("#" * full, STYLES[level]), "." * (BAR - full), "] ")
    return bar.append(f"{said}, {silent}" if silent else said)


def _hearing(report: StatusReport) -> list[Text]:
    """Who hears whom, by their own word: a row hears its columns."""
    names = [member.name for member in report.members]
    widths = [max(len(name), 2) for name in names]
    first = max(widths)
    lines = [
        Text(f"{'HEARS':{max(first, 5)}}  " + "  ".join(f"{n:{w}}" for n, w in zip(names, widths, strict=True)), "dim")
    ]
    for member in report.members:
        line = Text(f"{member.name:{max(first, 5)}}  ", "bold")
        for name, size in zip(names, widths, strict=True):
            unknown, hears = member.hears is None, name in (member.hears or ())
            sign = "." if name == member.name else "?" if unknown else "ok" if hears else "NO"
            line.append(f"{sign:{size}}  ", STYLES[Level.PROBLEM] if sign == "NO" else "not bold")
        lines.append(line)
    return lines


def _turns(found: Sequence[Takeover], width: int) -> list[Text]:
    """The newest takeovers: `-` for the doubt, `=` for the start, to one scale."""
    newest = list(found[-TURNS:])[::-1]
    if not newest:
        return [_head("TAKEOVERS"), Text("none yet")]
    longest = max((1, *((one.noticed_ms or 0) + (one.took_ms or 0) for one in newest)))
    scale = max(8, min(30, width - 58))
    return [
        _head("TAKEOVERS   - doubt until decision   = until it answers"),
        *(_turn(one, longest, scale) for one in newest),
    ]


def _turn(one: Takeover, longest: float, scale: int) -> Text:
    noticed, took = (
        "" if not ms else sign * max(1, round(scale * ms / longest))
        for ms, sign in ((one.noticed_ms, "-"), (one.took_ms, "="))
    )
    way = f"{one.was} -> {one.owner}" if one.was and one.was != one.owner else f"on {one.owner}"
    total = "never ran" if one.took_ms is None else duration((one.noticed_ms or 0) + one.took_ms)
    line = Text.assemble((moment(one.at_unix_ms)[11:19], "dim"), "  ", (one.qm, "bold"), f" {way}  ")
    return (
        line.append(noticed, STYLES[Level.WARNING])
        .append(took, "cyan")
        .append(f" {total}  ")
        .append(plain(one.why), "dim")
    )


def _events(lines: Sequence[EventLine], width: int, room: int) -> list[Text]:
    """The newest first, one line each."""
    shown = list(lines)[-max(0, room - 1) :][::-1] if room > 1 else []
    return [_head("EVENTS"), *(_event(line, width) for line in shown)]


def _event(line: EventLine, width: int) -> Text:
    grade = severity(line.kind)
    details = ", ".join(f"{plain(name)} {plain(str(line.fields[name]))}" for name in _TOLD if line.fields.get(name))
    text = Text.assemble((moment(line.at_unix_ms)[11:19], "dim"), " ", (_SIGNS[grade], STYLES[LEVEL_OF[grade]]), " ")
    text.append(line.subject, "bold").append(f" {plain(line.kind)}").append(f"  {details}" if details else "", "dim")
    text.truncate(width, overflow="ellipsis")
    return text
