"""`standfast what-if` and `standfast snapshot`: what would become of the cluster, told beforehand."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import click
from rich.text import Text

from standfast.cli import cuts
from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import Cell, Column, as_json, console, hanging, moment, show, styled, table
from standfast.cli.story import listed, paragraphs, question
from standfast.cli.words import FURTHER, MEMBER_STATES, NEVER_JOINED, PHASES, STYLES, Level
from standfast.errors import NotSafe, PromiseBroken, UsageError
from standfast.member.control_protocol import TakeSnapshot
from standfast.member.snapshot import Snapshot, read_snapshot
from standfast.model.cluster import Cluster
from standfast.model.records import Phase
from standfast.sim.prospect import MemberEnd, Prospect, QueueManagerEnd, Supposition
from standfast.sim.what_if import what_if as play
from standfast.sim.world import Broken

_TIME_WIDTH = len("after 12345 ms")

_QUEUE_MANAGERS = (
    Column("QUEUE MANAGER"),
    Column("STATE"),
    Column("ON"),
    Column("BEFORE"),
    Column("EPOCH", right=True),
)
_MEMBERS = (Column("MEMBER"), Column("ROLE"), Column("STATE"), Column("LEASE"), Column("HEARS", note=True))


@click.command(
    short_help="What one member knows, as a file for what-if.",
    epilog=example("standfast snapshot > monday.json", "standfast what-if --lose a --snapshot monday.json"),
)
@asking
def snapshot(asked: Asked) -> None:
    """Print what the member knows: members, timing, queue managers, the store's records, who hears whom.

    It holds no passwords and no driver options, so that it may be given away with a question.
    """
    as_json(asked.ask(TakeSnapshot(), Snapshot))


@click.command(
    "what-if",
    short_help="What would follow if members or links were lost.",
    epilog=example(
        "standfast what-if --lose a",
        "standfast what-if --cut a:b --cut 'w>a'",
        "standfast what-if --fail-hop a",
        "standfast what-if --cut a,b:c,v,w --snapshot monday.json",
    ),
)
@asking
@click.option("--lose", metavar="MEMBER", multiple=True, help="It dies with everything on it; a list, or repeatable.")
@click.option(
    "--cut",
    metavar="A:B",
    multiple=True,
    help="Nothing passes between A and B; with A>B, nothing from A to B. Lists such as a,b:c too; repeatable.",
)
@click.option(
    "--fail-hop", metavar="MEMBER", multiple=True, help="None of its next hops answers it; a list, or repeatable."
)
@click.option("--snapshot", "file", type=click.File("rb"), help="Play on this snapshot instead of asking a member.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def what_if(
    asked: Asked,
    lose: tuple[str, ...],
    cut: tuple[str, ...],
    fail_hop: tuple[str, ...],
    file: BinaryIO | None,
    *,
    json_: bool,
) -> None:
    """Tell what would happen if all that is given happened at once, and whether every queue manager would run then.

    The cluster as the member knows it is played on with the same code that members run, until it comes to rest; nothing
    is touched. Exit code 0 when every queue manager runs at the end, 12 otherwise. With none of them: what is
    under way.
    """
    taken = asked.ask(TakeSnapshot(), Snapshot) if file is None else read_snapshot(file.read(), file.name)
    supposed = supposition(lose, cut, fail_hop, taken.cluster)
    try:
        prospect = play(taken, supposed)
    except Broken as broken:
        raise PromiseBroken(
            f"In this play the promise {broken.promise!r} is broken: {broken.how}. That is a defect of Standfast: "
            "please report it with the snapshot."
        ) from None
    if json_:
        as_json({**_facts(taken), "supposed": supposed, **_verdict(prospect), "prospect": prospect})
    else:
        show(*_told(taken, supposed, prospect, console().width))
    if not prospect.all_run:
        down = listed([qm.name for qm in prospect.queue_managers if qm.runs_on is None])
        why = f"{down} would run nowhere" if down else "it would not come to rest"
        raise NotSafe(f"Not every queue manager would run: {why}. Avoid that, or be ready for it.")


# ---------------------------------------------------------------- the question


def supposition(lose: Iterable[str], cut: Iterable[str], fail_hop: Iterable[str], cluster: Cluster) -> Supposition:
    """What is supposed; raises UsageError for unknown names, for hops that are not there and cuts without sense."""
    members = [member.name for member in cluster.members]
    without = cuts.known(fail_hop, members)
    for name in without:
        if not cluster.member(name).hops:
            raise UsageError(
                f"--fail-hop {name}: the cluster file names no hops of {name}, so that nobody looks at them."
            )
    return Supposition(lose=cuts.known(lose, members), cut=cuts.pairs(cut, members), fail_hop=without)


# ---------------------------------------------------------------- the answer


def _facts(taken: Snapshot) -> dict[str, object]:
    return {"cluster": taken.cluster.name, "taken_by": taken.taken_by, "at_unix_ms": taken.at_unix_ms}


def _verdict(prospect: Prospect) -> dict[str, bool]:
    return {"all_run": prospect.all_run, "survives_one_more": prospect.survives_one_more}


def _told(taken: Snapshot, supposed: Supposition, prospect: Prospect, width: int) -> Iterator[Cell]:
    """The whole answer, line by line."""
    known = f"cluster {taken.cluster.name}, as {taken.taken_by} knew it at {moment(taken.at_unix_ms)}"
    yield from hanging("What if", f"{question(supposed)}: {known}", width, "bold")
    for level, sentence in cautions(taken, prospect):
        yield from hanging(level, sentence, width, STYLES[level])
    told = list(paragraphs(prospect.story, supposed.lose))
    for at_ms, sentence in told:
        yield from hanging(f"after {at_ms:.0f} ms".ljust(_TIME_WIDTH), sentence, width)
    if not told:
        yield "Nothing would happen."
    yield Text()
    if prospect.queue_managers:
        yield from table(_QUEUE_MANAGERS, map(_queue_manager, prospect.queue_managers), width)
        yield Text()
    yield from table(_MEMBERS, (_member(member, supposed) for member in prospect.members), width)
    yield Text()
    yield f"every queue manager would run: {'yes' if prospect.all_run else 'no'}"
    yield f"one further loss would cost nothing: {'yes' if prospect.survives_one_more else 'no'}"
    yield from (f"  losing {reason.subject}: {FURTHER[reason.cost]}" for reason in prospect.weak_points)


def cautions(taken: Snapshot, prospect: Prospect) -> Iterator[tuple[Level, str]]:
    """What to know before believing it."""
    if not taken.store_reachable:
        yield Level.WARNING, f"{taken.taken_by} did not reach the store: what it knows of owners may be old."
    for name in taken.overrides:
        yield Level.WARNING, f"{name} runs by an override, or did and has not settled it: that is not played here."
    if prospect.unlike:
        names = ", ".join(prospect.unlike)
        yield Level.WARNING, f"{names}: the lease is not as the snapshot says, for a reason that it does not show."
    if prospect.under_way:
        yield Level.NOTE, "Before it: " + "; ".join(sentence for _, sentence in paragraphs(prospect.under_way)) + "."
    if not prospect.at_rest:
        yield Level.WARNING, "It does not come to rest: what follows is a picture of the moment, not an end."


def _queue_manager(qm: QueueManagerEnd) -> list[Cell]:
    words = PHASES[qm.phase]
    state = styled(words.name, words.level)
    if qm.runs_on is None and qm.phase is Phase.RUNNING:
        state = styled("stopped", Level.PROBLEM)
    return [qm.name, state, qm.runs_on or "-", qm.was_on or "-", str(qm.epoch)]


def _member(member: MemberEnd, supposed: Supposition) -> list[Cell]:
    words = NEVER_JOINED if member.state is None else MEMBER_STATES[member.state]
    state = styled(words.name, words.level)
    if not member.alive:
        state = styled("lost" if member.name in supposed.lose else "silent", Level.PROBLEM)
    return [member.name, member.role, state, "held" if member.leased else "none", ", ".join(member.hears) or "nobody"]
