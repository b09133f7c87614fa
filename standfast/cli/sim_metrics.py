"""What a campaign of the simulator found, as a file for Prometheus' node exporter (its textfile collector)."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.metrics import Info

from standfast import __version__
from standfast.errors import UsageError
from standfast.sim.campaign import Plan, Tally
from standfast.sim.coverage import missed


def write_metrics(file: Path, plan: Plan, tally: Tally) -> None:
    """Replace the file as a whole; raises UsageError when it can not be written."""
    registry = CollectorRegistry()
    told = {"version": __version__, "members": str(plan.members), "minutes": f"{plan.minutes:g}"}
    Info("standfast_sim", "Release that was simulated, and how.", registry=registry).info(told)
    figures = (
        ("runs", "Runs of the last campaign.", tally.runs),
        ("broken_runs", "Of them those that broke a promise.", len(tally.broken)),
        ("simulated_seconds", "Virtual time of all of them.", tally.simulated_s),
        ("cpu_seconds", "What they cost of one core.", tally.cpu_s),
        ("missed_situations", "Situations that none of them came upon.", len(missed(tally.coverage))),
    )
    for name, text, value in figures:
        Gauge(f"standfast_sim_{name}", text, registry=registry).set(value)
    try:
        write_to_textfile(str(file), registry)
    except OSError as error:
        raise UsageError(
            f"{file} can not be written: {error.strerror}. Name a file in a directory of yours."
        ) from error
