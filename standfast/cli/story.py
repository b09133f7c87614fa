"""The story of a play in words: from what happened to paragraphs with times. Pure: values in, values out."""

from collections.abc import Collection, Iterable, Iterator

from msgspec import structs

from standfast.cli.words import plain
from standfast.model.events import EventKind
from standfast.quorum.runs import StopReason
from standfast.sim.chronicle import Deed, Line
from standfast.sim.prospect import Pair, Supposition

TOGETHER_MS = 10
"""What happens within this time is told in one paragraph."""
NAMED = 3
"""Of more subjects than this, those beyond are counted."""

SENTENCES: dict[Deed | EventKind, str] = {
    Deed.LOST: "{who} lost",
    Deed.STOPS: "{who} stopped by {by} itself: {why}",
    Deed.ENDED: "{who} ended on {by}",
    Deed.STARTS: "{who} started on {by} under epoch {epoch}",
    EventKind.MEMBER_JOINED: "{who} joined again",
    EventKind.MEMBER_IN_DOUBT: "{who} in doubt",
    EventKind.MEMBER_BACK: "{who} heard again and online",
    EventKind.MEMBER_TOLD_TO_GO: "{who} told to go ({reason})",
    EventKind.MEMBER_EVICTED: "{who} evicted",
    EventKind.MEMBER_LEFT: "{who} left",
    EventKind.QM_ASSIGNED: "{who} assigned to {owner}",
    EventKind.QM_RELEASED: "{who} released ({reason})",
    EventKind.QM_MOVING: "{who} moving to {to}",
    EventKind.QM_GIVEN_UP: "{who} given up: nobody could start it",
    EventKind.QM_GROUP_WAITS: "{who} kept down by the group {group} ({rule})",
    EventKind.QM_GROUP_BROKEN: "{who} not as the group {group} wants it ({rule}), for {other}",
    EventKind.QM_GROUP_HELD: "{who} as the group {group} wants it again",
    EventKind.LEASE_LOST: "{who} without a lease",
    EventKind.LEASE_REGAINED: "{who} with a lease again",
    EventKind.HOP_LOST: "{who} without a next hop",
    EventKind.LINK_LOST: "{who} no longer heard by {seen_by}",
    EventKind.LINK_HEALED: "{who} heard again by {seen_by}",
    EventKind.LINK_FLAPPING: "the link of {seen_by} to {who} comes and goes",
}
"""With `who`, `by` and the fields of the line; other events are told by their names."""

LINKS = frozenset({EventKind.LINK_LOST, EventKind.LINK_HEALED, EventKind.LINK_FLAPPING})
LEFT_OUT = frozenset({EventKind.QM_STARTING, EventKind.QM_RUNNING, Deed.CUT})
"""Beside the process that starts there is nothing to tell; cuts are told as they were asked for."""

STOPS: dict[StopReason, str] = {
    StopReason.NONE: "it is gone already",
    StopReason.LEASE: "its lease is about to end",
    StopReason.TOLD_TO_GO: "it was told to go",
    StopReason.MOVING: "another member is to run it",
    StopReason.HALTED: "an operator wants it stopped",
    StopReason.LEAVING: "it leaves the cluster",
    StopReason.UNRESPONSIVE: "it does not answer",
    StopReason.NOT_OWNER: "it belongs to another member",
}


def paragraphs(lines: Iterable[Line], lost: Collection[str] = ()) -> Iterator[tuple[float, str]]:
    """The story: (milliseconds, what happens then). That somebody misses those who are lost is no news."""
    moment: list[Line] = []
    for line in lines:
        if line.kind in LEFT_OUT or (line.kind is EventKind.LINK_LOST and line.subject in lost):
            continue
        if moment and line.at_ms - moment[0].at_ms > TOGETHER_MS:
            yield moment[0].at_ms, "; ".join(_phrases(moment))
            moment = []
        moment.append(line)
    if moment:
        yield moment[0].at_ms, "; ".join(_phrases(moment))


def _phrases(moment: list[Line]) -> Iterator[str]:
    """One for each thing that happens, whoever it happens to."""
    subjects: dict[str, list[str]] = {}
    for line in _hearers_together(moment):
        subjects.setdefault(_sentence(line), []).append(line.subject)
    for sentence, names in subjects.items():
        yield sentence.format(who=listed(names))


def _hearers_together(moment: list[Line]) -> Iterator[Line]:
    """One line for each member that others cease, or begin, to hear, in the place of the first."""
    hearers: dict[tuple[Deed | EventKind, str], list[str]] = {}
    for line in moment:
        if line.kind in LINKS:
            hearers.setdefault((line.kind, line.subject), []).append(line.by)
    for line in moment:
        if line.kind not in LINKS:
            yield line
        elif (names := hearers.pop((line.kind, line.subject), None)) is not None:
            yield structs.replace(line, fields={"seen_by": ", ".join(names)})


def _sentence(line: Line) -> str:
    """Its sentence with a gap for the subject."""
    fields = {name: plain(value) if isinstance(value, str) else value for name, value in line.fields.items()}
    if line.kind is Deed.STOPS:
        fields["why"] = STOPS[StopReason(str(line.fields["why"]))]
    template = SENTENCES.get(line.kind, plain(line.kind) + ": {who}")
    return template.format(**{**fields, "who": "{who}", "by": line.by})


def listed(names: list[str]) -> str:
    """Such as `a, b` or `a, b, c and 12 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def question(supposed: Supposition) -> str:
    """What is supposed, as it may be given on the command line; `nothing` when it is nothing."""
    cuts = dict.fromkeys(_cut(pair, supposed.cut) for pair in supposed.cut)
    words = [f"--lose {name}" for name in supposed.lose] + [f"--cut {cut}" for cut in cuts]
    words += [f"--fail-hop {name}" for name in supposed.fail_hop]
    return " ".join(words) or "nothing"


def _cut(pair: Pair, among: tuple[Pair, ...]) -> str:
    """`a:b` when both directions are cut, else `a>b`."""
    source, to = pair
    return ":".join(sorted(pair)) if (to, source) in among else f"{source}>{to}"
