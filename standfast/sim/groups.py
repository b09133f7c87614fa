"""Groups of queue managers in runs of the simulator: drawn, changed at work, and whether they are kept; raises Broken.

1. Nothing is given to a member that has one of its strict `apart` group, or is about to.
2. Nothing of a strict `together` group is given to a member where none of it is, while it is somewhere.
3. When all is well, nothing is down but for its strict groups, and whatever is not held was told, once.
"""

import random
from collections.abc import Collection, Iterator

from msgspec import structs

from standfast.model.choices import Tie
from standfast.model.cluster import Cluster, QueueManagerSpec, Role
from standfast.model.records import Assignment, Phase
from standfast.model.view import View
from standfast.quorum.ties import Ties, Untied
from standfast.sim.world import Broken, World

ABOUT = "groups"
"""What a run is about that has groups for sure; of the others some have them."""
THEMES = frozenset({"operators", "queue managers", "settings"})
SHARE = 0.15
REGROUPED = 0.4
"""How likely a change of the queue managers is one of their groups, where there are groups."""
FEWEST = 2
ENOUGH = 4


def drawn(cluster: Cluster, rng: random.Random, about: str) -> Cluster:
    """The cluster of a run: with groups if it is about them, else in some runs. By a chance of their own."""
    if about == ABOUT:
        return with_groups(_enough(cluster), rng, strict=True)
    return with_groups(cluster, rng) if rng.random() < SHARE else cluster


def _enough(cluster: Cluster) -> Cluster:
    """With queue managers enough for groups of both kinds."""
    specs, first = list(cluster.queue_managers), cluster.queue_managers[0]
    for i in range(len(specs), ENOUGH):
        storage = structs.replace(first.storage, path=f"/q{i}")
        specs.append(structs.replace(first, name=f"q{i}", port=first.port + i, storage=storage))
    return structs.replace(cluster, queue_managers=tuple(specs))


def with_groups(cluster: Cluster, rng: random.Random, *, strict: bool = False) -> Cluster:
    """The queue managers of this cluster in groups, some of them only preferred unless they are to be strict."""
    specs = [structs.replace(spec, together="", apart="") for spec in cluster.queue_managers]
    if len(specs) < FEWEST:
        return cluster
    together = rng.sample(range(len(specs)), min(rng.choice([0, 2, 2, 3]), len(specs)))
    data = sum(member.role is Role.DATA for member in cluster.members)
    apart = rng.sample(range(len(specs)), min(rng.choice([0, 2, 2, 3]), len(specs), data))
    rules = rng.choices(list(Tie), [3, 0 if strict else 1], k=2)
    if len({*together} & {*apart}) > 1:
        apart = [n for n in apart if n not in together[1:]]
    for n in together:
        specs[n] = structs.replace(specs[n], together="t", together_rule=rules[0])
    for n in apart:
        specs[n] = structs.replace(specs[n], apart="s", apart_rule=rules[1])
    return aligned(structs.replace(cluster, queue_managers=tuple(specs)))


def aligned(cluster: Cluster) -> Cluster:
    """Those that stay together prefer the same, as the rules of the cluster file want it."""
    first: dict[str, QueueManagerSpec] = {}
    specs = []
    for spec in cluster.queue_managers:
        other = first.setdefault(spec.together, spec) if spec.together else spec
        wishes = ("preferred", "failback", "failback_after_s", "failback_window")
        specs.append(structs.replace(spec, **{name: getattr(other, name) for name in wishes}))
    return structs.replace(cluster, queue_managers=tuple(specs))


def any_in(cluster: Cluster) -> bool:
    """Whether there are any."""
    return any(spec.together or spec.apart for spec in cluster.queue_managers)


# ---------------------------------------------------------------- promises


def kept(before: Assignment, after: Assignment, view: View, world: World) -> None:
    """A queue manager has got that owner; `view` is the store with it."""
    if after.owner is None or (after.owner, after.epoch) == (before.owner, before.epoch) or after.qm not in view.specs:
        return
    ties = Ties(view)
    if not ties.bound(after.qm):
        return
    world.coverage["group: given in a strict group"] += 1
    rivals = [name for name in ties.rivals(after.qm) if _near(view, name, after.owner)]
    if rivals:
        raise Broken("apart", f"{after.qm} is given to {after.owner}, where {', '.join(rivals)} is or will be")
    mates = [name for name in ties.mates(after.qm) if _owned(view, name)]
    if mates and not any(_near(view, name, after.owner) for name in mates):
        raise Broken("together", f"{after.qm} is given to {after.owner}, and {', '.join(mates)} is elsewhere")


def _owned(view: View, qm: str) -> bool:
    a = view.assignments[qm].record
    return a.owner is not None and not view.orphaned(a)


def _near(view: View, qm: str, member: str) -> bool:
    a = view.assignments[qm].record
    return _owned(view, qm) and member in {a.owner, a.target}


def rightly_down(qm: str, view: View, data: Collection[str]) -> bool:
    """Whether its strict groups rule out each of these members, and that was told."""
    ties, a = Ties(view), view.assignments[qm].record
    down = not _owned(view, qm) and not any(ties.open_to(qm, name) for name in data)
    return down and a.untied in {Untied.WAITS_APART, Untied.WAITS_TOGETHER}


def untold(view: View) -> Iterator[str]:
    """What is not held, or is again, and was not told, when all is well."""
    ties = Ties(view)
    for qm, held in view.assignments.items():
        found = ties.broken(qm)[0]
        if _owned(view, qm) and held.record.phase is Phase.RUNNING and held.record.untied != found:
            yield f"{qm} is {found or 'held'} in its groups, told is {held.record.untied or 'nothing'}"
