"""Override: let one data member run when the majority is gone. Ask the member itself: it is an order to that machine.

What it bypasses, when to use it and how it ends: docs/override.md.
"""

import sys

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.endings import VERDICTS
from standfast.cli.examples import example
from standfast.cli.screen import as_json, show
from standfast.cli.words import Level, plain
from standfast.errors import UsageError
from standfast.member.control_protocol import EndOverride, GrantOverride, OrderResult, OverrideReport, ShowOverride
from standfast.model.override import Stage, Stance
from standfast.quorum.signals import Verdict

_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
MS_PER_S = 1_000

GRANT_WARNING = """\
{member} of cluster {cluster} will run {what} without a majority, until one is back.
Nobody but you can tell that no other data member runs them: one that is cut off from here together with a majority
is not seen by this one. If one does run, messages are lost on one side, unless the storage's lock prevents it.
Make sure first that every other data member is switched off, or its daemon stopped: docs/override.md."""

END_WARNING = """\
The other members will no longer keep {member}'s queue managers free for it, and one of them will start them.
If {member} still runs them, both do. Make sure first that its machine is switched off and stays off."""


@click.group(short_help="Run one data member without a majority.", epilog=example("standfast override show"))
def override() -> None:
    """Run one data member without a majority: the last resort when the others are gone.

    Read docs/override.md before. An override ends by itself when a majority is back.
    """


@override.command(
    short_help="Order this data member to run.",
    epilog=example('standfast override grant --cluster shop --reason "b and w burnt, case 4711"'),
)
@asking
@click.option("--cluster", required=True, help="Name of the cluster, as a proof that you mean this one.")
@click.option("--reason", required=True, help="Why; it is kept in the event log.")
@click.option("--queue-manager", "queue_managers", multiple=True, help="Only this one; may be repeated. [default: all]")
@_yes
@_json
def grant(asked: Asked, cluster: str, reason: str, queue_managers: tuple[str, ...], *, yes: bool, json_: bool) -> None:
    """Order the asked data member to run queue managers without a majority.

    Refused while a majority or another data member is in touch, or a lease of one may last.
    """
    if not reason.strip():
        raise UsageError("--reason is empty: say why, for those who will read the event log.")
    request = GrantOverride(cluster=cluster, reason=reason, queue_managers=queue_managers)
    asked_first = GrantOverride(cluster=cluster, reason=reason, queue_managers=queue_managers, dry=True)
    _ended(asked.ask(asked_first, OrderResult).verdict, json_)
    if not yes:
        report = asked.ask(ShowOverride(), OverrideReport)
        what = ", ".join(queue_managers) or "every queue manager"
        _confirm(GRANT_WARNING.format(member=report.member, cluster=report.cluster, what=what))
    _order(
        asked, request, "Ordered. Watch it: `standfast status --watch`; how it ends: `standfast override show`.", json_
    )


@override.command(
    short_help="End an override.",
    epilog=example("standfast override end", "standfast override end --of a   # a is off"),
)
@asking
@click.option("--of", "of", default="", metavar="MEMBER", help="Of another member, whose machine is off for good.")
@_yes
@_json
def end(asked: Asked, of: str, *, yes: bool, json_: bool) -> None:
    """End the override of the asked member: it stops its queue managers first.

    With --of, the asked member no longer keeps to the override of MEMBER, which must be off.
    """
    if of and not yes:
        _confirm(END_WARNING.format(member=of))
    member = of or asked.ask(ShowOverride(), OverrideReport).member
    _order(asked, EndOverride(member), f"The override of {member} ends: `standfast override show`.", json_)


@override.command(
    "show", short_help="What the asked member knows of overrides.", epilog=example("standfast override show")
)
@asking
@_json
def show_(asked: Asked, *, json_: bool) -> None:
    """What the asked member knows of overrides: whose, since when, by whom, what was bypassed, how it ends.

    Also whether one could be granted to it now.
    """
    report = asked.ask(ShowOverride(), OverrideReport)
    if json_:
        as_json(report)
    else:
        show(*_told(report))


HOW = {
    Stage.IN_FORCE: "in force; it ends by itself when a majority is back, or by `standfast override end` here",
    Stage.SETTLING: "a majority is back: its end is being written",
    Stage.ENDING: "it is ending: what runs by it is being stopped",
    Stage.OVER: "over here; the store does not know yet",
}
OTHERS = {
    Stance.ON: "in force: nothing that it covers is started here; ends by itself, or by `standfast override end` there",
    Stance.REFUSED: "refused by a member that ran the same under a lease; not over yet",
    Stance.ENDED: "over",
}


def _told(report: OverrideReport) -> list[str]:
    lines = []
    own = report.own
    if own is not None:
        names = ", ".join(f"{part.spec.name} (epoch {part.epoch})" for part in own.parts)
        lines += [
            f"{Level.PROBLEM}: override of {report.member}, number {own.number}: {HOW[own.stage]}.",
            f"  by {own.by}: {own.reason}",
            f"  runs: {names}",
            "  bypassed: majority; for each of them the start record in the store and the proof of current data",
        ]
        lines += [f"  why it ends: {plain(own.ending)}"] if own.ending else []
    for word in report.words:
        if word.member != report.member or own is None:
            lines.append(f"override of {word.member}, number {word.number}: {OTHERS[word.stance]}.")
    if not lines:
        lines.append("No override is known here.")
    if report.grantable is Verdict.DONE:
        lines.append(f"One could be granted to {report.member} now.")
    else:
        wait = f" Wait {report.wait_ms / MS_PER_S:.1f} s." if report.grantable is Verdict.RIVAL_LEASE else ""
        lines.append(f"None would be granted to {report.member} now: {VERDICTS[report.grantable].sentence}{wait}")
    return lines


def _confirm(warning: str) -> None:
    click.echo(warning, err=True)
    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to confirm it: run this at a terminal, or with --yes.")
    click.confirm("Do it?", abort=True, err=True)


def _order(asked: Asked, request: GrantOverride | EndOverride, done: str, json_: bool) -> None:
    verdict = asked.ask(request, OrderResult).verdict
    _ended(verdict, json_)
    if json_:
        as_json({"verdict": verdict})
    else:
        show(done)


def _ended(verdict: Verdict, json_: bool) -> None:
    """Raise what a refusal means."""
    ending = VERDICTS[verdict]
    if ending.raises is not None:
        if json_:
            as_json({"verdict": verdict})
        raise ending.raises(ending.sentence)
