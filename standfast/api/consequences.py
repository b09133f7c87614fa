"""What an order would bring, sentence by sentence, as things stand. Pure: a report in, sentences out."""

from collections.abc import Iterable
from statistics import median

from msgspec import Struct

from standfast.cli.can_stop import left_behind
from standfast.cli.verdict import cost_sentence
from standfast.cli.words import duration
from standfast.member.report import MemberReport, StatusReport, is_up, situation
from standfast.member.turns import Takeover
from standfast.model.cluster import Role
from standfast.model.records import Phase
from standfast.ports import Durability
from standfast.quorum.can_stop import can_stop
from standfast.quorum.placement import ALL

NAMED = 3
"""Of more queue managers than this, the times are not told one by one."""


class Prospects(Struct, frozen=True):
    """What would follow, and whether nothing speaks against it."""

    sentences: tuple[str, ...]
    advised: bool = True


def of_move(report: StatusReport, turns: Iterable[Takeover], qm: str, to: str) -> Prospects:
    """Of a move; both names are known."""
    found = next(one for one in report.queue_managers if one.name == qm)
    target = next(one for one in report.members if one.name == to)
    if found.owner == to and found.phase is Phase.RUNNING:
        return Prospects((f"{qm} runs on {to} already: nothing would happen.",), advised=False)
    if against := _against(report, target, qm):
        return Prospects((f"{to} can not take {qm}: {against}.",), advised=False)
    if report.orders.frozen:
        return Prospects(("The cluster is frozen: nothing is moved until it is thawed.",), advised=False)
    first = f"{qm} is stopped on {found.owner}, then started on {to}." if found.owner else f"{qm} is started on {to}."
    kept = ("No message that it acknowledged is lost.",) if found.durability == Durability.SYNCED else ()
    return Prospects((first, _away(turns, qm), *kept))


def of_drain(report: StatusReport, turns: Iterable[Takeover], name: str) -> Prospects:
    """Of draining a member."""
    if name in report.orders.drained:
        return Prospects((f"{name} is drained already: nothing would happen.",), advised=False)
    safety = can_stop(situation(report), name)
    owned = [qm.name for qm in report.queue_managers if qm.owner == name]
    known = list(turns)
    sentences = [f"These move to other members: {', '.join(owned)}."] if owned else []
    sentences += [_away(known, qm) for qm in owned[:NAMED]]
    sentences += [f"{name} runs nothing until it is undrained. It goes on voting."]
    sentences += [f"{cost_sentence(reason).capitalize()}." for reason in safety.reasons]
    sentences += [f"Once it is stopped: {line}." for line in left_behind(safety)]
    return Prospects(tuple(sentences), safety.safe)


def of_undrain(report: StatusReport, name: str) -> Prospects:
    """Of letting a drained member run again."""
    if name not in report.orders.drained:
        return Prospects((f"{name} is not drained: nothing would happen.",), advised=False)
    return Prospects((f"{name} may run queue managers again. Nothing moves back to it by itself.",))


def of_clear(report: StatusReport, name: str) -> Prospects:
    """Of letting a member out of quarantine."""
    member = next(one for one in report.members if one.name == name)
    if not member.quarantined and not member.losses:
        return Prospects((f"{name} is not in quarantine: nothing would happen.",), advised=False)
    return Prospects((f"{name} may be chosen again; its {member.losses} unclean losses are forgotten.",))


def of_freeze(report: StatusReport) -> Prospects:
    """Of suspending takeovers."""
    if report.orders.frozen:
        return Prospects(("The cluster is frozen already: nothing would happen.",), advised=False)
    running = [f"{qm.name} on {qm.owner}" for qm in report.queue_managers if qm.owner]
    return Prospects(
        (
            "Nothing is taken over or moved until somebody thaws the cluster.",
            f"If a member fails meanwhile, what it ran stays down: {', '.join(running) or 'nothing runs now'}.",
        )
    )


def of_thaw(report: StatusReport) -> Prospects:
    """Of resuming them."""
    if not report.orders.frozen:
        return Prospects(("The cluster is not frozen: nothing would happen.",), advised=False)
    waiting = [qm.name for qm in report.queue_managers if qm.phase not in {Phase.RUNNING, Phase.HALTED}]
    return Prospects(
        ("Takeovers are possible again." + (f" At once: {', '.join(waiting)}." if waiting else ""),),
    )


def _against(report: StatusReport, target: MemberReport, qm: str) -> str:
    """Why a member can not take a queue manager; empty when it can, as far as is known here."""
    if target.role is Role.WITNESS:
        return "it is a witness, which only votes"
    if not is_up(report, target):
        return "it is not up"
    if target.name in report.orders.drained:
        return "it is drained"
    if target.quarantined:
        return "it is in quarantine"
    if {qm, ALL} & set(target.unfit):
        return "it is not fit for it now, see `standfast check` there"
    return ""


def _away(turns: Iterable[Takeover], qm: str) -> str:
    starts = [turn.took_ms for turn in turns if turn.qm == qm and turn.took_ms is not None]
    if not starts:
        return f"Clients of {qm} are away while it stops and starts."
    return (
        f"Clients of {qm} are away while it stops and starts; starting took {duration(median(starts))} as a rule, "
        f"{duration(max(starts))} at most, in {len(starts)} starts."
    )
