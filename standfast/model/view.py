"""What a member knows of the store: records with the revision of their last change."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar, cast

from msgspec import Struct, field

from standfast.model.cluster import QueueManagerSpec
from standfast.model.records import (
    GONE,
    ORDERS_KEY,
    SETTINGS_KEY,
    Assignment,
    MemberRecord,
    Orders,
    Phase,
    Record,
    SettingsRecord,
)

R = TypeVar("R")


class Kept(Struct, Generic[R], frozen=True):
    """A record and the revision of its last change, by which transactions guard it."""

    record: R
    revision: int


class View(Struct, frozen=True, kw_only=True):
    """A picture of the store at one revision. Never changed: `merged` makes the next one.

    Attributes:
        revision: the store's when it was read; every record changed up to it is in this view.
        newest: revision of the record that changed last.
        members: by name.
        assignments: by queue manager.
        specs: by queue manager.
        orders: of the operators.
        settings: shared by all members, once the store has them.
        removed: by queue manager: those that are none any more, for their epochs.
    """

    revision: int = 0
    newest: int = 0
    members: Mapping[str, Kept[MemberRecord]] = field(default_factory=dict)
    assignments: Mapping[str, Kept[Assignment]] = field(default_factory=dict)
    specs: Mapping[str, Kept[QueueManagerSpec]] = field(default_factory=dict)
    orders: Kept[Orders] = Kept(Orders(), 0)
    settings: Kept[SettingsRecord] | None = None
    removed: Mapping[str, Kept[Assignment]] = field(default_factory=dict)

    def merged(self, revision: int, changes: Iterable[tuple[str, Record, int]]) -> "View":
        """This view with changes (key, record, revision) applied; older ones than it holds are ignored.

        `revision` is the store's at the time of the read; a smaller one than the view's never lowers it.
        """
        tables: dict[str, dict[str, Kept[Record]]] = {}
        single: dict[str, Kept[Record] | None] = {ORDERS_KEY: self.orders, SETTINGS_KEY: self.settings}  # type: ignore[dict-item]
        newest = self.newest
        for key, record, changed in changes:
            newest = max(newest, changed)
            room, _, name = key.partition("/")
            if not name:
                held = single[key]
                if held is None or held.revision < changed:
                    single[key] = Kept(record, changed)
                continue
            table = tables.get(room)
            if table is None:
                table = tables[room] = dict(getattr(self, room))
            held = table.get(name)
            if held is None or held.revision < changed:
                table[name] = Kept(record, changed)
        specs = cast("dict[str, Kept[QueueManagerSpec]] | None", tables.get("specs"))
        assignments = cast("dict[str, Kept[Assignment]] | None", tables.get("assignments"))
        removed = self.removed
        if specs is not None or assignments is not None:
            specs, assignments, removed = self._buried(specs or dict(self.specs), assignments or dict(self.assignments))
        return View(
            revision=max(self.revision, revision),
            newest=newest,
            members=cast("Mapping[str, Kept[MemberRecord]]", tables.get("members", self.members)),
            assignments=self.assignments if assignments is None else assignments,
            specs=self.specs if specs is None else specs,
            removed=removed,
            orders=cast("Kept[Orders]", single[ORDERS_KEY]),
            settings=cast("Kept[SettingsRecord] | None", single[SETTINGS_KEY]),
        )

    def _buried(
        self, specs: dict[str, Kept[QueueManagerSpec]], assignments: dict[str, Kept[Assignment]]
    ) -> tuple[dict[str, Kept[QueueManagerSpec]], dict[str, Kept[Assignment]], Mapping[str, Kept[Assignment]]]:
        """Both without the queue managers that are none any more, and those."""
        removed = {name: kept for name, kept in assignments.items() if kept.record.phase is Phase.REMOVED}
        for name, kept in self.removed.items():
            now = assignments.get(name)
            if now is None or now.revision < kept.revision:
                removed[name] = kept
        for name in removed:
            assignments.pop(name, None)
            specs.pop(name, None)
        return specs, assignments, removed

    def records(self) -> Iterator[tuple[str, Record, int]]:
        """Every record as (key, record, revision of its last change)."""
        for room in ("members", "assignments", "specs"):
            for name, kept in getattr(self, room).items():
                yield f"{room}/{name}", kept.record, kept.revision
        for name, kept in self.removed.items():
            yield f"assignments/{name}", kept.record, kept.revision
        if self.orders.revision:
            yield ORDERS_KEY, self.orders.record, self.orders.revision
        if self.settings is not None:
            yield SETTINGS_KEY, self.settings.record, self.settings.revision

    def orphaned(self, assignment: Assignment) -> bool:
        """Whether no living incarnation owns it, so that it may be given to another member."""
        if assignment.owner is None:
            return True
        kept = self.members.get(assignment.owner)
        if kept is None:
            return False
        return kept.record.first > assignment.incarnation or kept.record.state in GONE
