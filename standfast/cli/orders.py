"""Orders to the cluster: move, drain, undrain, clear, freeze, thaw.

An order that is accepted stands in the store; carrying it out takes as long as a stop and a start. What is so already
is no error, so that scripts may repeat themselves.
"""

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.can_stop import left_behind
from standfast.cli.endings import VERDICTS
from standfast.cli.examples import example
from standfast.cli.screen import as_json, show
from standfast.member.control_protocol import (
    CanStop,
    Clear,
    Drain,
    Freeze,
    Move,
    OrderResult,
    Request,
    SafetyReport,
    Status,
    Thaw,
    Undrain,
)
from standfast.member.report import StatusReport
from standfast.quorum.signals import Verdict

_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.command(short_help="Run a queue manager on another member.", epilog=example("standfast move orders b"))
@asking
@click.argument("queue_manager")
@click.argument("to", metavar="MEMBER")
@_json
def move(asked: Asked, queue_manager: str, to: str, *, json_: bool) -> None:
    """Run QUEUE_MANAGER on MEMBER: it is stopped gracefully where it runs, then started there.

    A queue manager that was given up is tried again this way. All that must stay together with it moves with it, or
    nothing does.
    """
    reports = asked.ask(Status(), StatusReport).queue_managers
    mates = next((qm.mates for qm in reports if qm.name == queue_manager), ())
    moved = f"{queue_manager} is" if not mates else f"{queue_manager} and, with it, {', '.join(mates)} are"
    give(asked, Move(queue_manager, to), f"{moved} being moved to {to}: `standfast status --watch`.", json_)


@click.command(
    short_help="Let a member run nothing, before work on it.",
    epilog=example("standfast drain b && standfast status --watch"),
)
@asking
@click.argument("name", metavar="MEMBER")
@_json
def drain(asked: Asked, name: str, *, json_: bool) -> None:
    """Let MEMBER run nothing: its queue managers are moved away, and it gets no others. It goes on voting.

    The store's leadership and the coordination go to others too, if they can: a witness has nothing else to give up.
    What the others have left without it is told.
    """
    give(asked, Drain(name), f"{name} is being drained. After the work: `standfast undrain {name}`.", json_)
    if not json_:
        show(*left_behind(asked.ask(CanStop(name), SafetyReport).safety))


@click.command(short_help="Let a drained member run queue managers again.", epilog=example("standfast undrain b"))
@asking
@click.argument("name", metavar="MEMBER")
@_json
def undrain(asked: Asked, name: str, *, json_: bool) -> None:
    """Let MEMBER run queue managers again. Nothing is moved back to it by itself."""
    give(asked, Undrain(name), f"{name} may run queue managers again.", json_)


@click.command(short_help="Let a member out of quarantine.", epilog=example("standfast clear b"))
@asking
@click.argument("name", metavar="MEMBER")
@_json
def clear(asked: Asked, name: str, *, json_: bool) -> None:
    """Let MEMBER out of quarantine, and forget how often it lost its lease. Nothing is moved back to it by this."""
    give(asked, Clear(name), f"{name} may be chosen again.", json_)


@click.command(short_help="Suspend takeovers and moves.", epilog=example("standfast freeze"))
@asking
@_json
def freeze(asked: Asked, *, json_: bool) -> None:
    """Suspend takeovers and moves, for work on the network or the storage.

    While frozen, a queue manager whose member fails stays down.
    """
    give(asked, Freeze(), "Nothing is taken over or moved until `standfast thaw`.", json_)


@click.command(short_help="Resume takeovers and moves.", epilog=example("standfast thaw"))
@asking
@_json
def thaw(asked: Asked, *, json_: bool) -> None:
    """Resume takeovers and moves."""
    give(asked, Thaw(), "Takeovers are possible again.", json_)


def give(asked: Asked, request: Request, done: str, json_: bool) -> None:
    """Give the order; raise what its verdict means."""
    verdict = asked.ask(request, OrderResult).verdict
    ending = VERDICTS[verdict]
    if json_:
        as_json({"verdict": verdict})
    if ending.raises is not None:
        raise ending.raises(ending.sentence)
    if not json_:
        show(done if verdict is Verdict.DONE else ending.sentence)
