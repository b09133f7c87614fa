"""Promises about choices that safety leaves open: who is told to go or in quarantine, what moves for a next hop.

Raises Broken.
"""

from collections import Counter

from standfast.model.cluster import Cluster, LinkLoss, Policy, Role
from standfast.model.events import Event, EventKind
from standfast.model.records import MemberRecord, MemberState, Transaction
from standfast.model.view import View
from standfast.quorum.arbiter import Grounds
from standfast.quorum.behind import HOP_LOST
from standfast.quorum.ladder import Rung
from standfast.sim.machine import Machine
from standfast.sim.world import Broken, World


def hops_kept(event: Event, view: View, machines: list[Machine]) -> None:
    """Nothing moves for a hop to a member that lost its own by the same incident.

    A member is the machine that has joined as it, not one that it took the place of.
    """
    owner, to = str(event.fields["owner"]), str(event.fields["to"])
    joined = {view.members[name].record.identity for name in (owner, to)}
    incidents = {m.hop_incident for m in machines if m.identity in joined}
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


def quarantine_kept(before: MemberRecord | None, after: MemberRecord, transaction: Transaction, policy: Policy) -> None:
    """It begins with the loss that is one too many, and ends by being told so, or with another machine."""
    if after.role is Role.DATA and 0 < policy.quarantine_after <= after.losses and not after.quarantined:
        raise Broken("quarantine", f"{after.name} has {after.losses} losses and is not in quarantine")
    if before is None or before.identity != after.identity:
        return
    cleared = any(e.kind is EventKind.MEMBER_CLEARED for e in transaction.events)
    if before.quarantined and not after.quarantined and not cleared:
        raise Broken("quarantine", f"{after.name} is out of quarantine, and nobody says so")
    if after.losses < before.losses and after.losses:
        raise Broken("quarantine", f"{after.name} goes from {before.losses} losses to {after.losses}")
