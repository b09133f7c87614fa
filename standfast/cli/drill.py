"""`standfast drill`: faults on a cluster that runs, under a load of one's own, with a report."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click
import msgspec

from standfast.cli.examples import example
from standfast.cli.live import playing
from standfast.cli.proxy import Socket
from standfast.cli.run import CLUSTER_FILE, RUN_DIR, known_member
from standfast.cli.screen import console
from standfast.clusterfile import load
from standfast.drill.acts import BY_NAME
from standfast.drill.audit import Verdict
from standfast.drill.director import Director, Rhythm
from standfast.drill.endpoint import Endpoint, given, own_proxy
from standfast.drill.report import html_report
from standfast.drill.result import DrillResult
from standfast.drill.table import result_table
from standfast.errors import PromiseBroken, UsageError
from standfast.lab.reach import Reach

MILD = ("move",)
HARMFUL = ("kill-queue-manager",)
"""Played only when asked for by name."""
ROUNDS = 1


def report_result(result: DrillResult, report: Path, json_file: Path | None) -> None:
    """Write and show a result; raises PromiseBroken when it shows one."""
    report.write_text(html_report(result), encoding="utf-8")
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    screen = console()
    screen.print(result_table(result))
    screen.print(f"Report with the timeline: {report.absolute()}", highlight=False, soft_wrap=True)
    if result.verdict not in (Verdict.KEPT, Verdict.NO_PROMISE):
        raise PromiseBroken(f"The drill did not show that every promise was kept: {result.verdict}. See the report.")


@click.command(
    short_help="Faults on a running cluster under a load, with a report.",
    epilog=example(
        "standfast drill -q orders -m a",
        "standfast drill -q orders -m a --endpoint 10.0.0.9:4222 --act kill-queue-manager",
    ),
)
@click.option("--queue-manager", "-q", "qm", required=True, help="Name of the queue manager.")
@click.option("--member", "-m", "name", required=True, help="The member on this machine.")
@click.option("--file", type=click.Path(path_type=Path), default=CLUSTER_FILE, show_default=True, help="Cluster file.")
@click.option("--run-dir", type=click.Path(path_type=Path), default=RUN_DIR, show_default=True, help="Of the member.")
@click.option("--endpoint", type=Socket(), help="What clients use.  [default: a proxy of its own]")
@click.option(
    "--act",
    "acts",
    type=click.Choice((*MILD, *HARMFUL)),
    multiple=True,
    help="What to do, in this order; only `move` is done unasked.",
)
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="How often to do all of it.")
@click.option("--every-ms", type=click.IntRange(1), default=5, show_default=True, help="A message this often.")
@click.option("--user", default="", help="To log in to the queue manager with.")
@click.option("--password-file", default="", help="Goes with --user; mode 0600, one line.")
@click.option(
    "--report", type=click.Path(path_type=Path), default=Path("drill-report.html"), show_default=True, help="To write."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result as JSON, too.")
def drill(
    *,
    qm: str,
    name: str,
    file: Path,
    run_dir: Path,
    endpoint: tuple[str, int] | None,
    acts: tuple[str, ...],
    rounds: int,
    every_ms: int,
    user: str,
    password_file: str,
    report: Path,
    json_file: Path | None,
) -> None:
    """Load a queue manager of a running cluster, do to it what is asked, and account for every message.

    The load makes messages of its own and removes them at the end. Acts that kill are played on the machine of the
    member that runs the queue manager. A whole machine's death is yours to arrange: pull the plug while it runs.
    """
    cluster = load(file)
    known_member(cluster, name)
    if qm not in {spec.name for spec in cluster.queue_managers}:
        raise UsageError(f"{file} has no queue manager {qm!r}.")
    played = [BY_NAME[act] for act in (acts or MILD)] * rounds
    opened: Callable[[], AbstractAsyncContextManager[Endpoint]] = lambda: (  # noqa: E731 - a value of that type
        given(*endpoint) if endpoint else own_proxy(file, qm)
    )
    reach = Reach(cluster, {name: run_dir / f"{name}.sock"})
    rhythm = Rhythm(every_ms=every_ms, user=user, password_file=password_file)
    director = Director(reach, qm, {name: run_dir / name}, opened, rhythm)
    report_result(asyncio.run(playing(director, played, "standfast drill")), report, json_file)
