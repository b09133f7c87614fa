"""`standfast status`: one look at the cluster, as one member sees it."""

import asyncio

import click
import msgspec
from rich.text import Text

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import Cell, Column, as_json, console, hanging, moment, show, styled, table
from standfast.cli.verdict import copy_words, headline, member_words, qm_words, remarks
from standfast.cli.words import RUN_STATES, STYLES, Level, duration, plain
from standfast.errors import Unreachable, UsageError
from standfast.member.control_protocol import Status
from standfast.member.report import MemberReport, QueueManagerReport, StatusReport
from standfast.member.warden_protocol import WatchdogState
from standfast.model.cluster import Role
from standfast.model.records import Phase

WATCH_S = 1.0
"""Pause between two looks of --watch, unless told otherwise."""

_QUEUE_MANAGERS = (
    Column("QUEUE MANAGER"),
    Column("KIND", spare=3),
    Column("STATE"),
    Column("ON"),
    Column("FOR", right=True, spare=1),
    Column("CLIENTS"),
    Column("EPOCH", right=True, spare=2),
    Column("NOTE", note=True),
)
_MEMBERS = (
    Column("MEMBER"),
    Column("ROLE", spare=1),
    Column("STATE"),
    Column("HEARD", right=True),
    Column("LEASE", right=True),
    Column("ADDRESS", spare=2),
    Column("NOTE", note=True),
)


@click.command(
    short_help="Who runs what, who hears whom, what needs a person.",
    epilog=example("standfast status", "standfast status --watch", "standfast status --json | jq .verdict.level"),
)
@asking
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=WATCH_S,
    show_default=True,
    help="Pause between two looks, in seconds.",
)
@click.option("--json", "json_", is_flag=True, help="Print JSON: the report and the verdict.")
def status(asked: Asked, interval_s: float, *, watch: bool, json_: bool) -> None:
    """Who runs what, who hears whom, what needs a person.

    The first line says whether all is well. It is what one member sees; ask another one with --member or --socket.
    """
    if watch and json_:
        raise UsageError("--watch shows a screen, --json prints a document: choose one.")
    if watch:
        asyncio.run(_watch(asked, interval_s))
        return
    report = asked.ask(Status(), StatusReport)
    if json_:
        as_json({"verdict": headline(report), **msgspec.to_builtins(report)})
    else:
        show(*screen(report, console().width))


async def _watch(asked: Asked, interval_s: float) -> None:
    """Look again and again; a member that goes away is said to be away, and asked again."""
    from rich.live import Live  # noqa: PLC0415 - only a watch needs it

    out = console()
    with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                async with asked.client() as member:
                    lines = screen(await member.ask(Status(), StatusReport), out.width)
            except Unreachable as error:
                lines = hanging("NO ANSWER", str(error), out.width, STYLES[Level.PROBLEM])
            live.update(Text("\n").join(lines), refresh=True)
            await asyncio.sleep(interval_s)


def screen(report: StatusReport, width: int) -> list[Text]:
    """What is shown: the verdict, what needs a person, queue managers, members, the store."""
    lines = summary(report, width)
    if report.queue_managers:
        lines += [Text(), *table(_QUEUE_MANAGERS, (_queue_manager(report, qm) for qm in report.queue_managers), width)]
    lines += [Text(), *table(_MEMBERS, (_member(report, member) for member in report.members), width)]
    return [*lines, Text(), *_foot(report)]


def summary(report: StatusReport, width: int) -> list[Text]:
    """The verdict, and what needs a person."""
    verdict = headline(report)
    lines = hanging(verdict.level, verdict.sentence, width, STYLES[verdict.level])
    for remark in remarks(report):
        next_step = f": {remark.action}" if remark.action else ""
        sentence = f"{remark.subject}: {remark.meaning}{next_step}."
        lines += hanging(remark.level, sentence, width, STYLES[remark.level])
    return lines


def _queue_manager(report: StatusReport, qm: QueueManagerReport) -> list[Cell]:
    words = qm_words(report, qm)
    notes = [f"moving to {qm.target}"] if qm.target else []
    if qm.phase is not Phase.RUNNING and qm.local is not None:
        notes.append(f"{RUN_STATES[qm.local]} here")
    if copies := copy_words(report, qm):
        notes.append(f"copies: {copies}")
    notes += [f"{kind} {group}" for kind, group in (("together", qm.together), ("apart", qm.apart)) if group]
    if qm.durability and qm.durability != "synced":
        notes.append(f"acknowledged is not safe: {qm.durability}")
    return [
        qm.name,
        qm.kind,
        styled(words.name, words.level),
        qm.owner or "-",
        duration(max(0, report.at_unix_ms - qm.since_unix_ms)) if qm.since_unix_ms is not None else "",
        _socket(qm.address, qm.port) if qm.address else "-",
        str(qm.epoch),
        ", ".join(notes),
    ]


def _member(report: StatusReport, member: MemberReport) -> list[Cell]:
    words = member_words(report, member)
    here = member.name == report.answered_by
    notes = ["coordinator"] if member.coordinator else []
    notes += ["etcd leader"] if member.store_leader else []
    notes += ["drained"] if member.name in report.orders.drained else []
    notes += ["quarantined"] if member.quarantined else []
    notes += [f"watchdog {member.watchdog}"] if member.watchdog not in {None, WatchdogState.OFF} else []
    notes += ["does not hear us"] if member.hears_us is False else []
    notes += [f"alive on the disk, says {' '.join(member.isolated_by)}"] if member.isolated_by else []
    notes += [plain(member.reason)] if member.reason and words.level is not Level.OK else []
    return [
        member.name,
        member.role,
        styled(words.name, words.level),
        "here" if here else "never" if member.heard_ms is None else f"{duration(member.heard_ms)} ago",
        _lease(member),
        member.address,
        ", ".join(notes),
    ]


def _lease(member: MemberReport) -> str:
    """What is left of the answering member's own; of others, whether they say that they hold one.

    Witnesses run nothing and need none.
    """
    if member.role is Role.WITNESS:
        return "-"
    if member.lease_left_ms is not None:
        return duration(member.lease_left_ms)
    return "held" if member.leased else "none"


def _foot(report: StatusReport) -> list[Text]:
    """Store, timing and who answered."""
    return [
        *facts(report),
        Text(f"Cluster  {report.cluster}, seen by {report.answered_by} at {moment(report.at_unix_ms)}"),
    ]


def facts(report: StatusReport) -> list[Text]:
    """Store, shared disk, sinks of events and timing, a line for each."""
    store = report.store
    said = [f"leader {store.leader}"] if store.leader else []
    said += [f"revision {store.revision}"]
    said += [f"{store.latency_ms:.1f} ms"] if store.latency_ms is not None else []
    said += [f"etcd {store.version}"] if store.version else []
    answers = "answers" if store.reachable else "DOES NOT ANSWER"
    timing = report.timing
    return [
        Text(f"Store    {answers}, {', '.join(said)}"),
        *_disk(report),
        *_sinks(report),
        Text(
            f"Timing   heartbeat {timing.interval_ms} ms, lease {timing.term_ms} ms, in doubt after "
            f"{timing.interval_ms * timing.in_doubt_after} ms"
        ),
    ]


def _disk(report: StatusReport) -> list[Text]:
    """The shared disk, if the answering member sees one."""
    disk = report.disk
    if disk is None:
        return []
    read = f"read in {disk.read_ms:.1f} ms" if disk.reading == "ok" else f"reading: {plain(disk.reading)}"
    written = f"written in {disk.write_ms:.1f} ms" if disk.writing == "ok" else f"writing: {plain(disk.writing)}"
    return [Text(f"Disk     {read}, {written}, {disk.path}")]


def _sinks(report: StatusReport) -> list[Text]:
    """Where events go, as the answering member's courier has it."""
    lines = []
    for sink in report.sinks:
        said = [str(sink.state), f"{sink.delivered} delivered from here"]
        said += [f"{sink.waiting} wait"] if sink.waiting else []
        said += ["reads the log"] if sink.reading_log else []
        lines.append(Text(f"Sink     {sink.name} ({sink.kind}) {', '.join(said)}"))
    return lines


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
