"""Promises about choices that safety leaves open: who is told to go, and what moves for a next hop; raises Broken."""

from collections import Counter

from standfast.model.cluster import Cluster, LinkLoss, Role
from standfast.model.events import Event
from standfast.model.records import MemberRecord, MemberState
from standfast.model.view import View
from standfast.quorum.arbiter import Grounds
from standfast.quorum.behind import HOP_LOST
from standfast.quorum.ladder import Rung
from standfast.sim.machine import Machine
from standfast.sim.world import Broken, World


def hops_kept(event: Event, machines: list[Machine]) -> None:
    """Nothing moves for a hop to a member that lost its own by the same incident."""
    owner, to = event.fields["owner"], event.fields["to"]
    incidents = {m.hop_incident for m in machines if m.id in {owner, to}}
    if event.fields["reason"] == HOP_LOST and len(incidents) == 1 and 0 not in incidents:
        raise Broken("all lost their hop", f"{event.subject} moves from {owner} to {to}, and both lost theirs")


def verdict_right(record: MemberRecord, told: Event, view: View, cluster: Cluster, world: World) -> None:
    """Who is told to go for a lost link may go; `view` is the store with the verdict in it."""
    if record.reason != Grounds.TORN:
        return
    rung, winners = told.fields["decided_by"], told.fields["lost_to"]
    world.coverage[f"lost link decided by: {rung}"] += 1
    if cluster.policy.link_loss is LinkLoss.KEEP:
        raise Broken("keep", f"{record.name} is told to go for a lost link")
    online = [kept.record.role for kept in view.members.values() if kept.record.state is MemberState.ONLINE]
    if len(online) < cluster.majority or Role.DATA not in online:
        raise Broken("a majority stays", f"{record.name} is told to go, and only {len(online)} are online then")
    if rung in {Rung.PRIORITY, Rung.NAME} and len(cluster.members) == len("abw"):
        runs: Counter[object] = Counter(kept.record.owner for kept in view.assignments.values())
        if runs[record.name] > runs[winners]:
            raise Broken("the incumbent stays", f"{record.name} runs more than {winners} and goes by {rung}")
