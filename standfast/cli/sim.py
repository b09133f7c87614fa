"""`standfast sim`: run the real member core through faults on a virtual clock, and check every promise."""

import shlex
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from standfast.cli.examples import example
from standfast.cli.screen import as_json, console, hanging, show
from standfast.cli.sim_metrics import write_metrics
from standfast.errors import PromiseBroken
from standfast.model.timing import PROFILES
from standfast.sim import transcript
from standfast.sim.campaign import Plan, Tally, campaign
from standfast.sim.coverage import by_group, missed
from standfast.sim.run import simulate

S_PER_H = 3600
SHOWN = 10
"""Broken seeds that are named; the JSON has all."""


@click.command(
    "sim",
    short_help="Simulate a cluster with faults and check every promise.",
    epilog=example("standfast sim --seeds 200 --members 5 --jobs 2", "standfast sim --seed 1234 --members 5"),
)
@click.option("--seeds", default=50, show_default=True, type=click.IntRange(min=1), help="How many runs.")
@click.option("--first", default=0, show_default=True, help="The seed of the first run.")
@click.option("--seed", type=int, help="Replay this one seed and write its transcript.")
@click.option("--members", default="3", show_default=True, type=click.Choice(["3", "5", "7"]), help="Cluster size.")
@click.option("--minutes", default=2.0, show_default=True, help="Virtual minutes with faults in each run.")
@click.option("--profile", type=click.Choice([*PROFILES]), help="Timing profile; drawn for each run when not given.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
@click.option("--transcripts", default="sim-transcripts", show_default=True, type=click.Path(path_type=Path))
@click.option("--metrics", type=click.Path(path_type=Path), help="Also write the result there, for Prometheus.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def sim(
    *,
    seeds: int,
    first: int,
    seed: int | None,
    members: str,
    minutes: float,
    profile: str | None,
    jobs: int,
    transcripts: Path,
    metrics: Path | None,
    json_: bool,
) -> None:
    """Run the member core, seeded and on a virtual clock, through cuts, crashes, pauses and an ambiguous store.

    Every promise is checked at every step; at the end a majority is healed and must make progress. A broken promise
    gives exit code 11 and a transcript, which tells what happened and how to replay it.
    """
    plan = Plan(members=int(members), minutes=minutes, timing=PROFILES[profile] if profile else None)
    replay = ["standfast", "sim", "--members", members, "--minutes", f"{minutes:g}"]
    replay += ["--profile", profile] if profile else []
    if seed is not None:
        _replay(plan, seed, replay, transcripts)
        return
    tally = _campaign(plan, range(first, first + seeds), jobs, quiet=json_)
    for outcome in tally.broken[:SHOWN]:
        told = simulate(outcome.seed, plan.members, plan.minutes, plan.timing, tell=True)
        path = transcript.write(told, transcripts, shlex.join([*replay, "--seed", str(outcome.seed)]))
        click.echo(f"seed {outcome.seed}: {transcript.verdict_of(outcome)}; transcript: {path}", err=True)
    if metrics is not None:
        write_metrics(metrics, plan, tally)
    if json_:
        as_json(_as_dict(tally))
    else:
        _report(tally)
    if tally.broken:
        names = ", ".join(str(o.seed) for o in tally.broken[:SHOWN])
        raise PromiseBroken(f"{len(tally.broken)} of {tally.runs} runs broke a promise: seeds {names}. Replay one.")


def _replay(plan: Plan, seed: int, replay: list[str], transcripts: Path) -> None:
    outcome = simulate(seed, plan.members, plan.minutes, plan.timing, tell=True)
    path = transcript.write(outcome, transcripts, shlex.join([*replay, "--seed", str(seed)]))
    click.echo(f"seed {seed}: {transcript.verdict_of(outcome)}; transcript: {path}")
    if outcome.broken:
        raise PromiseBroken(f"Seed {seed} broke a promise: {outcome.how}. Read {path} from its end.")


def _campaign(plan: Plan, seeds: range, jobs: int, *, quiet: bool) -> Tally:
    tally = Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        bar = progress.add_task("simulating", total=len(seeds))
        for outcome, cpu_s in campaign(plan, seeds, jobs):
            tally.add(outcome, cpu_s)
            broken = f", {len(tally.broken)} broken" if tally.broken else ""
            hours = tally.simulated_s / S_PER_H
            progress.update(bar, advance=1, description=f"{hours:.1f} h simulated, {tally.speed:.0f} x{broken}")
    return tally


def _as_dict(tally: Tally) -> dict[str, object]:
    return {
        "runs": tally.runs,
        "simulated_s": round(tally.simulated_s, 3),
        "cpu_s": round(tally.cpu_s, 3),
        "speed": round(tally.speed),
        "broken": [{"seed": o.seed, "promise": o.broken, "how": o.how} for o in tally.broken],
        "missed": missed(tally.coverage),
        "coverage": dict(sorted(tally.coverage.items())),
    }


def _report(tally: Tally) -> None:
    width = console().width
    for group, counts in by_group(tally.coverage).items():
        show(*hanging(f"{group}:", ", ".join(f"{name} {count:,}" for name, count in counts.items()), width, "bold"))
    show(
        f"{tally.runs} runs, {tally.simulated_s / S_PER_H:.2f} virtual hours in {tally.cpu_s:.1f} s of one core: "
        f"{tally.speed:,.0f} x real time; broken: {len(tally.broken)}"
    )
    never = missed(tally.coverage)
    if never:
        show(f"never exercised in these runs: {', '.join(never)}")
