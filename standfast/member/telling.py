"""What a member tells the outside beside its log: events to sinks, and metrics."""

from pathlib import Path
from typing import NamedTuple

from standfast.endpoints.health import HealthBoard
from standfast.endpoints.metrics_page import MetricsPage
from standfast.member.alerting import Alerting
from standfast.member.metrics import CONTENT_TYPE, Metrics
from standfast.member.reporter import Reporter
from standfast.member.runtime import Runtime
from standfast.member.scribe import Scribe
from standfast.member.timekeeper import History, Timekeeper
from standfast.model.told import StoredEvent
from standfast.ports import LinkCounters


class Files(NamedTuple):
    """Where the courier finds what it needs, and how it logs."""

    state_dir: Path
    trust_dir: Path
    log_format: str


def telling(
    runtime: Runtime,
    scribe: Scribe,
    reporter: Reporter,
    board: HealthBoard,
    *,
    counters: LinkCounters,
    files: Files,
    history: History,
) -> Alerting:
    """Connect both to what they hear from; the courier is started by the one that is returned."""
    core, journal = runtime.core, runtime.journal
    alerting = Alerting(core, journal, **files._asdict())
    metrics = Metrics(core.rules.cluster.name, core.me, counters)
    timekeeper = Timekeeper(history, journal.told)

    def told(event: StoredEvent, stored: bool) -> None:
        metrics.told(event)
        alerting.told(event, stored)
        if stored:
            timekeeper.told(event)

    journal.on_told, reporter.sinks = told, alerting.reports
    runtime.on_message, scribe.on_read = metrics.message, metrics.read
    board.metrics = MetricsPage(CONTENT_TYPE, reporter.status, metrics.text)
    return alerting


__all__ = ["Files", "telling"]
