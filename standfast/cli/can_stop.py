"""`standfast can-stop`: may this member be stopped now? The exit code says it to scripts."""

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import as_json, show
from standfast.cli.verdict import cost_sentence
from standfast.cli.words import FURTHER
from standfast.errors import NotSafe
from standfast.member.control_protocol import CanStop, SafetyReport
from standfast.quorum.can_stop import Safety


@click.command(
    "can-stop",
    short_help="Whether a member may be stopped now, as an exit code.",
    epilog=example("standfast can-stop b && systemctl stop standfast@b"),
)
@asking
@click.argument("name", metavar="MEMBER")
@click.option("--one-more", is_flag=True, help="Demand too that one further loss after it would cost nothing.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def can_stop(asked: Asked, name: str, *, one_more: bool, json_: bool) -> None:
    """Whether MEMBER may be stopped now: exit code 0, or 12 when that would cost availability.

    Safe means: the others are a majority, of the votes and of the store's servers, and each of its queue managers can
    run on another member. What one further loss would cost is shown, and counts with --one-more; in a cluster of three
    it always costs the majority.
    """
    safety = asked.ask(CanStop(name), SafetyReport).safety
    if json_:
        as_json({"safe": safety.safe, "safety": safety})
    else:
        show(*_sentences(safety))
    if not safety.safe:
        costs = "; ".join(map(cost_sentence, safety.reasons))
        raise NotSafe(f"Do not stop {name} now: {costs}. Mend that first, then ask again.")
    if one_more and not safety.survives_one_more:
        raise NotSafe(f"{name} could be stopped, but one further loss would cost availability. Repair others first.")


def _sentences(safety: Safety) -> list[str]:
    """Yes or no, and what would come after."""
    first = f"{safety.member}: may be stopped now: {'yes' if safety.safe else 'no'}"
    if not safety.up:
        first += " (it is not up anyway)"
    lines = [first, *left_behind(safety)]
    lines += [f"  {cost_sentence(reason)}" for reason in safety.reasons]
    if safety.majority_kept:
        lines.append(f"without it, one further loss would cost nothing: {'yes' if safety.survives_one_more else 'no'}")
        lines += [f"  losing {reason.subject}: {FURTHER[reason.cost]}" for reason in safety.further]
    return lines


def left_behind(safety: Safety) -> list[str]:
    """What the others have without it: votes, servers of the store, somebody to coordinate."""
    lines = [f"votes of the others: {safety.votes.left} of {safety.votes.of}, {safety.votes.needed} are needed"]
    if safety.stores is not None:
        leads = f"; it leads now: `standfast drain {safety.member}` moves that first" if safety.leads_store else ""
        lines.append(f"store servers on the others: {safety.stores.left}, {safety.stores.needed} are needed{leads}")
    if safety.coordinates:
        lines.append(f"coordinator: {safety.member} now, {safety.successor or 'nobody'} without it")
    return lines
