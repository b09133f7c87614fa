"""What the storage says of a queue manager that runs: a later owner's stamp ends it, its own and older ones do not."""

from types import SimpleNamespace

import pytest

from standfast.member.journal import Journal
from standfast.member.stamps import Stamps
from standfast.model.event_fields import wrong
from standfast.model.events import EventKind
from standfast.quorum import signals as sig
from standfast.quorum.runs import RunState
from standfast.storage.epoch_file import Stamp
from standfast.storage.refusal import LaunchRefusal

MINE = Stamp("c", "q", 7, "a", 3)


def heard(state: RunState, stamp: Stamp) -> tuple[list[object], list[object]]:
    """What comes of reading this stamp: deeds in their order, and events; a runs q under epoch 7 as incarnation 3."""
    core = SimpleNamespace(
        me=MINE.member,
        rules=SimpleNamespace(cluster=SimpleNamespace(id=MINE.cluster)),
        keeper=SimpleNamespace(runs={MINE.qm: SimpleNamespace(state=state, epoch=MINE.epoch)}),
        ordered=SimpleNamespace(claimant=MINE.incarnation),
    )
    deeds: list[object] = []
    events: list[object] = []
    journal = Journal(MINE.member)
    journal.on_told = lambda event, _stored: events.append((event.kind, wrong(EventKind(event.kind), event.fields)))
    stamps = Stamps(core, deeds.append, lambda qm: deeds.append(("kill", qm)), journal)  # type: ignore[arg-type]
    stamps.seen(MINE.qm, stamp)
    return deeds, events


@pytest.mark.parametrize(
    ("stamp", "code"),
    [
        (MINE, None),
        (MINE._replace(incarnation=2), None),  # it was started before its daemon was restarted
        (MINE._replace(epoch=6, member="b"), None),
        (MINE._replace(epoch=8, member="b"), LaunchRefusal.EPOCH_LARGER),
        (MINE._replace(epoch=8), LaunchRefusal.EPOCH_LARGER),
        (MINE._replace(member="b"), LaunchRefusal.EPOCH_TAKEN),
        (MINE._replace(incarnation=4), LaunchRefusal.EPOCH_TAKEN),
        (MINE._replace(qm="other", epoch=1), LaunchRefusal.FOREIGN),
        (MINE._replace(cluster="other", epoch=1), LaunchRefusal.FOREIGN),
    ],
)
@pytest.mark.parametrize("state", [RunState.LAUNCHING, RunState.SERVING])
def test_a_later_owners_stamp_is_told_and_ends_it_by_a_kill(state: RunState, stamp: Stamp, code: LaunchRefusal | None):
    deeds, events = heard(state, stamp)
    assert deeds == ([] if code is None else [sig.Unhealthy("q", 7, code), ("kill", "q")])
    assert events == ([] if code is None else [(EventKind.STORAGE_CONTESTED, [])])


@pytest.mark.parametrize("state", [RunState.IDLE, RunState.STOPPING])
def test_what_does_not_run_or_is_ending_already_is_left_alone(state: RunState):
    assert heard(state, MINE._replace(epoch=8, member="b")) == ([], [])
