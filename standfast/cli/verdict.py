"""The first line of `status`: from a report to one look. Pure: values in, values out."""

from collections.abc import Iterator

from msgspec import Struct

from standfast.alerts.pump import SinkState
from standfast.cli.words import (
    COSTS,
    ISOLATED,
    MEMBER_STATES,
    NEVER_JOINED,
    NOT_HEARD,
    NOTICES,
    PHASES,
    UNSURE,
    UNTIED,
    Level,
    Words,
    plain,
)
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport, is_up, situation
from standfast.model.events import Severity
from standfast.model.records import MemberState, Phase
from standfast.quorum.can_stop import Reason, weak_points
from standfast.quorum.ties import Untied

LASTING_MS = 30_000
"""A sink that has failed for so long needs a person."""
WAITS = frozenset({Untied.WAITS_APART, Untied.WAITS_TOGETHER})
MANY = 3
"""With more queue managers than this the first line counts them and names only those that do not run."""

LEVEL_OF = {Severity.INFO: Level.OK, Severity.WARNING: Level.WARNING, Severity.CRITICAL: Level.PROBLEM}


class Remark(Struct, frozen=True):
    """Something that a person should know: about whom, what it means, what to do next."""

    level: Level
    subject: str
    meaning: str
    action: str


class Headline(Struct, frozen=True, kw_only=True):
    """The state of the cluster in one look.

    Attributes:
        level: PROBLEM when something does not run, WARNING when one more loss would cost something or a person
            should look.
        running: queue managers that run, as far as this member can tell.
        queue_managers: how many there are.
        up: members that hear each other, as the answering one sees it.
        members: how many there are.
        majority: how many of them are needed.
        could_lose_one_more: whether they are a majority and any one of them could be lost without cost.
        weak_points: members whose loss would cost something, and what.
        sentence: all of it, as it is shown.
    """

    level: Level
    running: int
    queue_managers: int
    up: int
    members: int
    majority: int
    could_lose_one_more: bool
    weak_points: tuple[Reason, ...]
    sentence: str


def headline(report: StatusReport) -> Headline:
    """Judge a report."""
    seen = situation(report)
    weak = tuple(weak_points(seen))
    words = [qm_words(report, qm) for qm in report.queue_managers]
    running = sum(w is PHASES[Phase.RUNNING] for w in words)
    majority = len(seen.up) >= seen.majority
    whole = all(w in (PHASES[Phase.RUNNING], PHASES[Phase.HALTED], UNSURE) for w in words) and majority
    grave = weak or [remark for remark in remarks(report) if remark.level is not Level.NOTE]
    level = Level.PROBLEM if not whole else Level.WARNING if grave else Level.OK
    spare = "yes" if majority else "no"
    if weak:
        spare = f"no ({', '.join(reason.subject for reason in weak)} must stay)"
    return Headline(
        level=level,
        running=running,
        queue_managers=len(report.queue_managers),
        up=len(seen.up),
        members=len(seen.members),
        majority=seen.majority,
        could_lose_one_more=majority and not weak,
        weak_points=weak,
        sentence=f"{_queue_managers(report)}, {len(seen.up)} of {len(seen.members)} members up, "
        f"could lose one more: {spare}",
    )


def _queue_managers(report: StatusReport) -> str:
    """Such as `orders: running on a`; with many of them, the number and the exceptions."""
    reports = report.queue_managers
    if not reports:
        return "no queue managers"
    placed = {
        qm.name: f"{qm.name}: {qm_words(report, qm).name}" + (f" on {qm.owner}" if qm.owner else "") for qm in reports
    }
    if len(reports) <= MANY:
        return ", ".join(placed.values())
    down = [placed[qm.name] for qm in reports if qm_words(report, qm) is not PHASES[Phase.RUNNING]]
    if not down:
        return f"all {len(reports)} queue managers: running"
    shown = ", ".join(down[:MANY]) + (f" and {len(down) - MANY} more" if len(down) > MANY else "")
    return f"{len(reports) - len(down)} of {len(reports)} queue managers: running, {shown}"


def qm_words(report: StatusReport, qm: QueueManagerReport) -> Words:
    """The words for a queue manager's phase; what the store says of an owner that is silent is not sure."""
    heard = any(member.name == qm.owner and is_up(report, member) for member in report.members)
    return UNSURE if qm.phase is Phase.RUNNING and not heard else PHASES[qm.phase]


def member_words(report: StatusReport, member: MemberReport) -> Words:
    """The words for a member's state: what the store holds, unless this member knows better."""
    if member.state is None:
        return NEVER_JOINED
    if member.state in (MemberState.ONLINE, MemberState.IN_DOUBT) and member.isolated_by:
        return ISOLATED
    if member.state is MemberState.ONLINE and not is_up(report, member):
        return NOT_HEARD
    return MEMBER_STATES[member.state]


def remarks(report: StatusReport) -> Iterator[Remark]:
    """Everything that is not as it should be, the gravest kinds first."""
    for qm in report.queue_managers:
        words = qm_words(report, qm)
        yield from _of_groups(report, qm)
        if words.level is not Level.OK and qm.untied not in WAITS:
            because = f" ({plain(qm.reason)})" if qm.reason else ""
            failed = f", failed on {', '.join(qm.failed_on)}" if qm.failed_on else ""
            yield Remark(words.level, qm.name, f"{words.meaning}{because}{failed}", words.action)
    for member in report.members:
        words = member_words(report, member)
        if words.level is not Level.OK:
            because = f" ({plain(member.reason)})" if member.reason and words not in {NOT_HEARD, ISOLATED} else ""
            yield Remark(words.level, member.name, f"{words.meaning}{because}", words.action)
        elif member.unfit:
            what = "anything" if "*" in member.unfit else ", ".join(member.unfit)
            yield Remark(
                Level.WARNING, member.name, f"it could not run {what} now", f"run `standfast check` on {member.name}"
            )
    if not report.store.reachable:
        yield Remark(
            Level.WARNING,
            "store",
            "it does not answer: what runs goes on, but no owner can change",
            "see that a majority of members reach each other",
        )
    yield from _of_the_cluster(report)
    yield from _of_sinks(report)
    for notice in report.notices:
        words = NOTICES[notice.kind]
        detail = f" ({notice.detail})" if notice.detail else ""
        yield Remark(words.level, notice.subject or words.name, words.meaning + detail, words.action)


def _of_groups(report: StatusReport, qm: QueueManagerReport) -> Iterator[Remark]:
    """How its groups are not held, while it is so: what was told may be over."""
    if qm.untied is Untied.NONE:  # before all others are looked at, for each of perhaps thousands
        return
    peers = [other for other in report.queue_managers if other.name != qm.name]
    found = {
        Untied.APART: [o.name for o in peers if qm.apart and o.apart == qm.apart and qm.owner and o.owner == qm.owner],
        Untied.TOGETHER: [o.name for o in peers if qm.together and o.together == qm.together and o.owner != qm.owner],
        Untied.WAITS_APART: qm.rivals if qm.owner is None else [],
        Untied.WAITS_TOGETHER: qm.mates if qm.owner is None else [],
    }[qm.untied]
    if found and qm.phase is not Phase.HALTED:
        words = UNTIED[qm.untied]
        yield Remark(words.level, qm.name, words.meaning.format(others=", ".join(found)), words.action)


def _of_sinks(report: StatusReport) -> Iterator[Remark]:
    """Sinks that take nothing; for as long as a takeover may last that is no reason to act."""
    for sink in report.sinks:
        if sink.state is SinkState.FAILING:
            lasting = report.at_unix_ms - sink.since_unix_ms >= LASTING_MS
            yield Remark(
                Level.WARNING if lasting else Level.NOTE,
                f"sink {sink.name}",
                f"{report.answered_by} could not deliver, and tries again ({sink.detail}); {sink.waiting} events wait",
                f"mend that, then `standfast alert test {sink.name}`",
            )
        elif sink.dropped:
            yield Remark(
                Level.WARNING,
                f"sink {sink.name}",
                f"{sink.dropped} events were given up because too many waited for it",
                "read them with `standfast events`",
            )


def _of_the_cluster(report: StatusReport) -> Iterator[Remark]:
    """What operators, or losses before, have made of it."""
    if len(report.members) % 2 == 0:
        count, needed = len(report.members), len(report.members) // 2 + 1
        yield Remark(
            Level.WARNING,
            "cluster",
            f"an even number of voters: of {count}, {needed} are needed, so no more can be lost than with {count - 1}",
            "`standfast member add` another one, or `standfast member remove` one",
        )
    if report.orders.frozen:
        yield Remark(Level.WARNING, "cluster", "it is frozen: nothing is taken over or moved", "`standfast thaw`")
    for name in report.orders.drained:
        yield Remark(
            Level.WARNING, name, "it is drained and runs nothing", f"`standfast undrain {name}` after the work"
        )
    for member in report.members:
        if member.quarantined:
            yield Remark(
                Level.WARNING,
                member.name,
                f"it is in quarantine after {member.losses} unclean losses: chosen for nothing while another can be",
                f"mend it, then `standfast clear {member.name}`",
            )


def cost_sentence(reason: Reason) -> str:
    """One cost in words, without a full stop."""
    return COSTS[reason.cost].format(subject=reason.subject, left=reason.left, needed=reason.needed)


def copy_words(report: StatusReport, qm: QueueManagerReport) -> str:
    """How it stands with the copies of a replicated queue manager's data; empty for another one.

    In detail where the answering member has one; else what the store knows.
    """
    if not qm.replicated:
        return ""
    outdated = f"outdated on {', '.join(qm.outdated)}" if qm.outdated else ""
    if qm.copy is None:
        return outdated or "no copy is outdated"
    percent = "" if qm.copy.percent is None else f" {qm.copy.percent:.0f} %"
    here = f"{plain(qm.copy.situation)}{percent}, as {report.answered_by} sees it"
    return f"{here}; {outdated}" if outdated else here
