"""`standfast instance show|unhealthy`: this machine as an instance of AWS."""

import asyncio
import os
import time
from pathlib import Path

import click

from standfast.cli.examples import example
from standfast.cli.screen import as_json, show
from standfast.endpoints.imds import Metadata, NoMetadata
from standfast.endpoints.instance import planned_end
from standfast.endpoints.kind import State
from standfast.errors import MachineError, Refused
from standfast.member.instance import report_unhealthy

CRASHES = Path("/run/standfast/crashes")

_json = click.option("--json", "json_", is_flag=True, help="Print JSON.")


@click.group(short_help="This machine as an instance of AWS.", epilog=example("standfast instance show"))
def instance() -> None:
    """What AWS plans for this machine, and how to have it replaced."""


@instance.command(
    "show",
    short_help="Who this instance is, and what AWS plans for it.",
    epilog=example("standfast instance show --json"),
)
@_json
def show_(*, json_: bool) -> None:
    """Ask the metadata service (IMDSv2). Exit code 4: it does not answer."""
    metadata = Metadata()
    try:
        name, notice = metadata.instance(), planned_end(metadata)
    except NoMetadata as error:
        raise MachineError(str(error)) from error
    if json_:
        as_json({"instance": name, "why": notice.why if notice else None, "when": notice.when if notice else None})
    elif notice is None:
        show(f"{name}: AWS plans nothing that ends it.")
    else:
        show(f"{name} will be ended: {notice.why} {notice.when}".rstrip())


@instance.command(
    short_help="Have its Auto Scaling group replace this instance.",
    epilog=example("standfast instance unhealthy --crashes 5 --within 600"),
)
@click.option("--region", default="", help="Of the API; by default where the instance runs.")
@click.option("--crashes", type=click.IntRange(1), default=1, help="Only at the so many-th call of this command.")
@click.option("--within", "within_s", type=click.FloatRange(1), default=600.0, help="Within so many seconds.")
@_json
def unhealthy(region: str, crashes: int, within_s: float, *, json_: bool) -> None:
    """Report this instance unhealthy to its group, which may ignore that within its grace period.

    With --crashes it counts its own calls, for a unit that calls it whenever the daemon has crashed; docs/instances.md.
    Exit code 10: AWS refused it, or did not answer.
    """
    counted = count(CRASHES, within_s) if crashes > 1 else crashes
    reported = counted >= crashes
    if reported:
        outcome = asyncio.run(report_unhealthy(region))
        if outcome.state is not State.LEADS:
            raise Refused(f"This instance was not reported: {outcome.detail} See its role, region and group.")
    if json_:
        as_json({"reported": reported, "counted": counted})
    else:
        show("Reported: its group replaces it." if reported else f"{counted} of {crashes} times: not reported yet.")


def count(file: Path, within_s: float) -> int:
    """How often this was called within that time, this time included; since the machine was started."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        earlier = [float(line) for line in file.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        earlier = []
    times = [one for one in earlier if now - within_s < one <= now] + [now]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text("".join(f"{one}\n" for one in times), encoding="ascii")
        fresh.rename(file)
    except OSError as error:
        raise MachineError(
            f"{file} can not be written: {error.strerror}. Call this as the user of the daemon."
        ) from error
    return len(times)
