"""`standfast verify storage`: try out, with a second machine, whether a directory can hold a queue manager's data."""

import asyncio
from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.screen import as_json, console, hanging, show
from standfast.cli.verify_words import ONE_MACHINE, STATES, VERDICTS, sentence
from standfast.cli.words import STYLES
from standfast.errors import StorageUnfit, Unreachable, UsageError
from standfast.storage.verify import Report, State, Step, Verdict, examine
from standfast.storage.verify_sides import Here, Hung, WentWrong, serve


@click.group(
    short_help="Try out whether storage can be shared by two machines.",
    epilog=example("standfast verify storage /shared/orders --with node-b"),
)
def verify() -> None:
    """Find out what storage really does, before messages depend on it. See docs/nfs.md."""


@verify.command(
    short_help="Writes, locks, their release, latency, clock: from two machines.",
    epilog=example(
        "standfast verify storage /shared/orders --wait              # first, on node-b",
        "standfast verify storage /shared/orders --with node-b       # then, on this machine",
        "standfast verify storage /shared/orders --alone",
    ),
)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--with", "with_", metavar="MEMBER", help="The machine on which the command waits with --wait.")
@click.option("--wait", "wait_", is_flag=True, help="Be the second machine: do what the first one asks for.")
@click.option("--alone", is_flag=True, help="Let two processes of this machine do it; says nothing of sharing.")
@click.option("--power-cut", is_flag=True, help="At the end, measure how long a lock outlives its machine.")
@click.option(
    "--patience",
    "patience_s",
    default=120.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="How long to wait for the other machine, in seconds.",
)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def storage(
    directory: Path,
    *,
    with_: str | None,
    wait_: bool,
    alone: bool,
    power_cut: bool,
    patience_s: float,
    json_: bool,
) -> None:
    """Try DIRECTORY out together with the machine of MEMBER, where the same command runs with --wait.

    Nothing but files in DIRECTORY/.standfast-verify is written, and they are removed in the end. Queue managers may run
    meanwhile. A mount that hangs delays the report by the time limit of each step, and hangs nothing else.

    With --power-cut the other machine takes a lock in the end and you are asked to cut its power: the time until the
    lock is free is the least that a takeover takes on this storage when a machine dies.
    """
    if sum((with_ is not None, wait_, alone)) != 1:
        raise UsageError("Give one of --with MEMBER, --wait and --alone. Begin with --wait on the other machine.")
    if power_cut and with_ is None:
        raise UsageError("--power-cut needs a machine whose power is cut: give --with MEMBER.")
    path = str(directory.absolute())
    if wait_:
        _wait(path, patience_s)
        return
    if with_ is not None:
        click.echo(f"On {with_}, run now:  standfast verify storage {path} --wait", err=True)

    def cut() -> None:
        click.echo(f"{with_} holds the lock. Cut its power now: pull the plug, or terminate the instance.", err=True)

    def tell(step: Step) -> None:
        click.echo(f"  {step.replace('_', ' ')} ...", err=True)

    report = asyncio.run(examine(path, patience_s, alone=alone, cut=cut if power_cut else None, tell=tell))
    if json_:
        as_json(report)
    else:
        _show(report, with_ or "another process")
    if report.verdict is Verdict.UNFIT:
        steps = ", ".join(f.step for f in report.findings if f.state in {State.FAILED, State.HUNG})
        raise StorageUnfit(f"{path} can not be shared as it is: see {steps} above, mend it and try again.")


def _wait(path: str, patience_s: float) -> None:
    """Be the other side."""
    here = Here(path)
    try:
        click.echo(f"Waiting for the other machine's `standfast verify storage {path} --with ...`", err=True)
        asyncio.run(serve(here, patience_s))
    except (Hung, WentWrong) as trouble:
        raise Unreachable(
            f"The other side was not heard by way of {path}: {trouble}. See that both name the same directory on the "
            "same storage, and that the first machine says what it found."
        ) from None
    finally:
        here.close()
    click.echo("Done: the report is on the other machine.", err=True)


def _show(report: Report, other: str) -> None:
    """The report for people."""
    width = console().width
    for finding in report.findings:
        word, level = STATES[finding.state]
        line = f"{word}: {sentence(finding, other)}"
        show(*hanging(f"{finding.step.replace('_', ' '):<10}", line, width, STYLES[level]))
    words = VERDICTS[report.verdict] if report.machines > 1 or report.verdict is Verdict.UNFIT else ONE_MACHINE
    show("", *hanging("verdict  ", words, width, "bold"))
    if report.takeover_floor_s is not None:
        floor = f"After the death of a machine a takeover takes at least {report.takeover_floor_s:.1f} s here."
    elif report.machines > 1:
        floor = (
            "Not measured: how long a lock outlives its machine. On NFS that is the server's lease time, 90 s on a "
            "Linux server unless it was set; a takeover after the death of a machine takes at least as long. "
            "--power-cut measures it."
        )
    else:
        floor = "Tried on one machine: nothing was learned of another one, nor of a machine's death."
    show(*hanging("takeover", floor, width, "bold"))
