"""A change of the configuration, shown before it is made: the difference, and what follows from it."""

import difflib
from collections.abc import Iterator

from rich.text import Text

from standfast.errors import UsageError
from standfast.model.cluster import Cluster, QueueManagerSpec
from standfast.model.timing import NS_PER_MS, lapse_ns
from standfast.quorum.configuration import fixed

GROUPS = ("together", "together_rule", "apart", "apart_rule")
READINESS = ("min_memory_mb", "min_disk_mb", "version_rule")
AT_ONCE = frozenset(
    {"preferred", "halted", "failback", "failback_after_s", "failback_window", "options", *GROUPS, *READINESS}
)
"""Keys of a queue manager that wait for no start; options are told of by themselves."""
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def different_for_good(before: Cluster, wanted: Cluster) -> None:
    """Raises UsageError for a difference in what is not changed this way."""
    old, new = fixed(before), fixed(wanted)
    if (old.name, old.id) != (new.name, new.id):
        raise UsageError(
            f"Nothing was changed: the text is of cluster {new.name} ({new.id}), not of {old.name} ({old.id})."
        )
    if old.members != new.members:
        names = {m.name for m in old.members} ^ {m.name for m in new.members}
        what = f"members {', '.join(sorted(names))}" if names else "what it says of members"
        raise UsageError(
            f"Nothing was changed: {what} differ. Members come and go one at a time: `standfast member add`, "
            f"`remove`, `replace`."
        )
    if old != new:
        raise UsageError("Nothing was changed: [store] and [disk] can not be changed while the cluster is at work.")


def difference(before: str, after: str) -> Iterator[Text]:
    """The lines of a unified difference."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "in force", "wanted", lineterm="")
    for line in lines:
        yield Text(line, style="bold" if line.startswith(("+++", "---")) else _STYLES.get(line[:1], ""))


def consequences(before: Cluster, wanted: Cluster) -> Iterator[Text]:
    """What follows from it, a line each."""
    found = [*_of_timing(before, wanted), *_of_queue_managers(before, wanted)]
    if found:
        yield Text()
        yield Text("What follows from it:", style="bold")
        yield from (Text(f"  {line}") for line in found)


def _of_timing(before: Cluster, wanted: Cluster) -> Iterator[str]:
    old, new = before.timing, wanted.timing
    if old == new:
        return
    yield "After the last heartbeat that a majority acknowledged:"
    for (was_ms, _), (at_ms, sentence) in zip(old.timeline(), new.timeline(), strict=True):
        yield f"  {at_ms:7} ms (was {was_ms:7})  {sentence}"
    yield "Every member adopts it within moments; nothing is stopped and nothing moves."
    if new.term_ms < old.term_ms:
        wait_ms = lapse_ns(old.term_ns) // NS_PER_MS
        yield f"Until {wait_ms} ms after the last member has, a voter that restarts waits as long as now."


def _of_queue_managers(before: Cluster, wanted: Cluster) -> Iterator[str]:
    old, new = ({qm.name: qm for qm in cluster.queue_managers} for cluster in (before, wanted))
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            halted = new[name].halted
            yield f"{name} is added" + (", halted." if halted else ": it is placed and started.")
        elif name not in new:
            yield f"{name} is removed; its data stay in {old[name].storage.path}."
        elif old[name] != new[name]:
            yield from _of_one(old[name], new[name])


def _of_one(old: QueueManagerSpec, new: QueueManagerSpec) -> Iterator[str]:
    name = old.name
    if old.halted is not new.halted:
        yield f"{name} is stopped, and stays so." if new.halted else f"{name} is placed and started again."
    later = [key for key in old.__struct_fields__ if key not in AT_ONCE and getattr(old, key) != getattr(new, key)]
    later += [
        f"options.{key}"
        for key in sorted(old.options.keys() | new.options.keys())
        if old.options.get(key) != new.options.get(key)
    ]
    if later and not new.halted:
        yield f"{name}: {', '.join(later)} take effect when it is started next; `standfast move` does that."
    if old.storage.path != new.storage.path:
        moved = f"from {old.storage.path} to {new.storage.path}"
        yield f"{name}: its data are not moved {moved}: do that while it is halted."
    if old.preferred != new.preferred:
        yield f"{name}: preferred counts when it is placed next; it is not moved now."
    if any(getattr(old, key) != getattr(new, key) for key in GROUPS):
        yield f"{name}: its groups count whenever something is placed from now on; nothing is moved by this change."
        yield f"{name}: `standfast status` says what is not held then, and what to move."
