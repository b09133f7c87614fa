"""This machine as an instance of EC2: reported unhealthy to its Auto Scaling group, and what AWS plans to do with it.

Sources: SetInstanceHealth of the Auto Scaling API; "Spot Instance interruption notices", "View scheduled events" and
"Retrieve the target lifecycle state" in AWS's user guides.
"""

from typing import Any

from msgspec import Struct

from standfast.endpoints.aws import client, judged
from standfast.endpoints.imds import Metadata
from standfast.endpoints.kind import Outcome, State

_ENDING = frozenset({"instance-stop", "instance-retirement", "system-reboot", "instance-reboot", "system-maintenance"})


class Notice(Struct, frozen=True):
    """That this machine will go: why, and when as AWS writes it."""

    why: str
    when: str = ""


@judged
def report_unhealthy(region: str, *, respect_grace: bool) -> Outcome:
    """Have the Auto Scaling group replace this instance; with `respect_grace` not within its grace period."""
    instance = Metadata().instance()
    client("autoscaling", region).set_instance_health(
        InstanceId=instance, HealthStatus="Unhealthy", ShouldRespectGracePeriod=respect_grace
    )
    return Outcome(State.LEADS, instance)


def planned_end(metadata: Metadata) -> Notice | None:
    """The first plan of AWS that ends or interrupts this machine; None when there is none. Raises NoMetadata."""
    spot = metadata.document("meta-data/spot/instance-action")
    if isinstance(spot, dict) and spot.get("action") in {"terminate", "stop", "hibernate"}:
        return Notice(f"spot instance: {spot['action']}", str(spot.get("time", "")))
    lifecycle = (metadata.get("meta-data/autoscaling/target-lifecycle-state") or "").strip()
    if lifecycle == "Terminated":
        return Notice("its Auto Scaling group ends it")
    events: Any = metadata.document("meta-data/events/maintenance/scheduled") or []
    for event in events if isinstance(events, list) else ():
        if event.get("State") == "active" and event.get("Code") in _ENDING:
            return Notice(f"scheduled event: {event['Code']}", str(event.get("NotBefore", "")))
    return None
