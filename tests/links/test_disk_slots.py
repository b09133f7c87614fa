"""What a member makes of the slots, without a disk: which record is new, who lives, what comes next."""

import pytest

from standfast.links.disk_layout import Fault, Layout, Volume
from standfast.links.disk_slots import STARTS_SHIFT, Board, DiskCounters, SlotState, SlotView
from standfast.model.messages import Heartbeat

from .disks import KEY, TIMING, heartbeat

DISK = bytes(16)
MS = 1_000_000
INTERVAL = TIMING.interval_ns
DOUBT = TIMING.in_doubt_ns
NAMES = ("a", "b", "c", "")


class Disk:
    """The bytes in the slots, a clock, and members that read and write them."""

    def __init__(self) -> None:
        self.units: dict[int, bytes] = dict.fromkeys(range(1, len(NAMES) + 1), b"")
        self.now = 10**9
        self.starts = 0

    def member(self, name: str) -> "Reader":
        self.starts += 1
        return Reader(self, name, b"start%3d" % self.starts)


class Reader:
    """One start of a member's daemon."""

    def __init__(self, disk: Disk, name: str, session: bytes) -> None:
        volume = Volume(cluster="t-1", name="t", disk=DISK, unit=4096, members=NAMES, revision=1)
        self.disk, self.name, self.seq = disk, name, 0
        self.counters = DiskCounters()
        self.board = Board(
            layout=Layout("t-1", KEY),
            volume=volume,
            me=name,
            session=session,
            counters=self.counters,
            in_doubt_ns=DOUBT,
        )

    def read(self, took_ns: int = 0) -> list[Heartbeat]:
        began = self.disk.now
        self.disk.now += took_ns
        return self.board.take(self.disk.units, began, self.disk.now)

    def sealed(self) -> bytes:
        self.seq += 1
        return self.board.record(heartbeat(self.name, self.seq), self.disk.now, 0)

    def write(self) -> bytes:
        block = self.disk.units[NAMES.index(self.name) + 1] = self.sealed()
        return block

    def of(self, name: str) -> SlotView:
        return self.board.view(NAMES.index(name), self.disk.now)


def turn(disk: Disk, *members: Reader) -> dict[str, list[tuple[str, int]]]:
    """Everybody reads, then writes, an interval later: who heard which numbers of whom."""
    disk.now += INTERVAL
    heard = {member.name: [(h.sender, h.seq) for h in member.read()] for member in members}
    for member in members:
        member.write()
    return heard


@pytest.fixture
def disk() -> Disk:
    return Disk()


def met(disk: Disk, *names: str) -> list[Reader]:
    members = [disk.member(name) for name in names]
    for _ in range(3):
        turn(disk, *members)
    for member in members:
        member.read()
    return members


# ---------------------------------------------------------------- freshness


def test_members_that_start_together_hear_each_other_in_the_second_turn_after_their_first_writes(disk: Disk):
    a, b = disk.member("a"), disk.member("b")
    assert turn(disk, a, b) == {"a": [], "b": []}, "nothing was there"
    assert turn(disk, a, b) == {"a": [], "b": []}, "written before anything of the other was read"
    assert turn(disk, a, b) == {"a": [("b", 2)], "b": [("a", 2)]}
    assert a.of("b").state is SlotState.LIVE


def test_a_restarted_member_is_heard_with_its_first_record_and_hears_after_one_turn(disk: Disk):
    a, _ = met(disk, "a", "b")
    b = disk.member("b")
    heard = [turn(disk, a, b) for _ in range(3)]
    assert [h for h in heard[1]["a"] if h[0] == "b"] == [("b", 1)]
    assert heard[0]["b"] == heard[1]["b"] == []
    assert [sender for sender, _ in heard[2]["b"]] == ["a"]


def test_what_was_there_before_the_start_is_no_life_however_often_it_is_read(disk: Disk):
    met(disk, "a", "b")
    late = disk.member("a")
    for _ in range(3):
        assert late.read() == []
        assert late.of("b").state is SlotState.SILENT
        disk.now += INTERVAL


def test_replayed_records_are_never_delivered_also_not_to_a_restarted_reader(disk: Disk):
    a, b = met(disk, "a", "b")
    tape = []
    for _ in range(5):
        turn(disk, a, b)
        tape.append(disk.units[2])
    a.read()
    restarted = disk.member("a")
    for old in tape:
        disk.units[2] = old
        assert a.read() == restarted.read() == []
    assert (a.counters.replayed, restarted.counters.unmet) == (len(tape) - 1, len(tape))
    assert restarted.of("b").state is SlotState.UNMET


def test_a_late_write_of_a_former_start_is_refused_and_its_successor_stays_heard(disk: Disk):
    a, b = met(disk, "a", "b")
    stuck = b.sealed()
    successor = disk.member("b")
    turn(disk, a, successor)
    turn(disk, a, successor)
    disk.units[2] = stuck
    assert a.read() == []
    assert a.of("b").state is SlotState.WENT_BACK
    assert a.counters.replayed == 1
    successor.read()
    assert successor.of("b").state is SlotState.WENT_BACK
    successor.write()
    assert [h.seq for h in a.read()] == [3]
    assert a.of("b").state is SlotState.LIVE


def test_a_late_write_that_nobody_saw_before_does_not_outlive_its_successor(disk: Disk):
    """The former start had sealed above all that was seen, hung, and its record lands after its successor's."""
    a, b = met(disk, "a", "b")
    stuck = [b.sealed() for _ in range(50)][-1]
    successor = disk.member("b")
    turn(disk, a, successor)
    disk.units[2] = stuck
    turn(disk, a, successor)
    assert [s for s, _ in turn(disk, a, successor)["a"]] == ["b"]


def test_a_member_whose_slot_was_wiped_goes_on_above_what_the_others_saw(disk: Disk):
    a, b = met(disk, "a", "b")
    seen = b.board._sequence
    disk.units[2] = b""
    restarted = disk.member("b")
    turn(disk, a, restarted)
    assert restarted.board._sequence >> STARTS_SHIFT == (seen >> STARTS_SHIFT) + 1
    assert [s for s, _ in turn(disk, a, restarted)["a"]] == ["b"]


def test_a_member_that_starts_blind_leaps_ahead_once_the_others_say_what_they_saw(disk: Disk):
    a, b = met(disk, "a", "b")
    mine, theirs = disk.units[2], disk.units[1]
    disk.units[1] = disk.units[2] = b"torn, both"
    blind = disk.member("b")
    blind.read()
    blind.write()
    assert blind.board._sequence <= b.board._sequence
    assert mine != disk.units[2] != theirs
    disk.units[1] = theirs
    turn(disk, a, blind)
    turn(disk, a, blind)
    assert [s for s, _ in turn(disk, a, blind)["a"]] == ["b"]


def test_a_record_is_known_to_be_from_after_the_record_that_it_echoes(disk: Disk):
    a, b = met(disk, "a", "b")
    disk.now += INTERVAL
    a.read()
    a.write()
    sealed_ns = disk.now
    disk.now += 7 * INTERVAL
    b.read()
    stuck = b.sealed()
    disk.now += 1000 * INTERVAL
    disk.units[2] = stuck
    a.read()
    assert a.of("b").sealed_after_ns == sealed_ns, "it changed only now, and may be a thousand intervals old"
    assert a.of("b").changed_ns == disk.now


def test_a_record_in_another_members_slot_is_not_heard(disk: Disk):
    a, b, c = met(disk, "a", "b", "c")
    disk.units[3] = b.write()
    assert [h.sender for h in a.read()] == ["b"]
    assert (a.of("c").state, a.of("c").fault) == (SlotState.STRANGE, Fault.MISPLACED)
    c.write()
    assert [h.sender for h in a.read()] == ["c"]


# ---------------------------------------------------------------- silence


def test_silence_is_counted_between_reads_and_not_to_now(disk: Disk):
    """A reader that was stuck must not take the others for dead: sanlock once did."""
    a, _ = met(disk, "a", "b")
    changed = a.of("b").changed_ns
    disk.now += DOUBT // 2
    a.read()
    assert a.of("b").silent_ns == disk.now - changed
    assert a.of("b").state is SlotState.LIVE
    disk.now += 100 * DOUBT
    assert a.of("b").state is SlotState.UNKNOWN, "this reader is the one that hears nothing"
    assert a.of("b").silent_ns == DOUBT // 2


def test_a_read_that_took_long_proves_silence_only_until_it_began(disk: Disk):
    a, _ = met(disk, "a", "b")
    disk.now += DOUBT // 2
    a.read(took_ns=DOUBT)
    assert a.of("b").silent_ns == DOUBT // 2
    a.read()
    assert a.of("b").silent_ns == DOUBT // 2 + DOUBT
    assert a.of("b").state is SlotState.SILENT


def test_a_member_that_writes_but_does_not_read_is_told_apart(disk: Disk):
    a, _ = met(disk, "a", "b")
    deaf = disk.member("c")
    for _ in range(3):
        deaf.write()
        assert [h.sender for h in a.read()] == []
    assert a.of("c").state is SlotState.UNMET
    assert a.counters.unmet >= 3


# ---------------------------------------------------------------- damage


def test_damage_is_counted_once_and_mended_by_the_next_record(disk: Disk):
    a, b = met(disk, "a", "b")
    good = disk.units[2]
    disk.units[2] = good[:100] + bytes(60) + good[160:]
    for _ in range(3):
        assert a.read() == []
    assert (a.counters.damaged, a.of("b").damaged, a.of("b").state) == (1, 1, SlotState.DAMAGED)
    disk.units[2] = good
    assert a.read() == [], "the same record is not news"
    assert a.of("b").state is SlotState.LIVE
    disk.units[2] = b""
    a.read()
    assert (a.counters.damaged, a.of("b").state) == (2, SlotState.BLANK)
    b.write()
    assert [h.sender for h in a.read()] == ["b"]


def test_each_content_lands_in_one_counter(disk: Disk):
    a, _ = met(disk, "a", "b")
    before = a.counters.bad_key, a.counters.other_cluster, a.counters.malformed
    for layout in (Layout("t-1", bytes(32)), Layout("t-9", KEY)):
        board = Board(
            layout=layout,
            volume=a.board.volume,
            me="b",
            session=b"12345678",
            counters=DiskCounters(),
            in_doubt_ns=DOUBT,
        )
        board.take({}, 1, 1)
        disk.units[2] = board.record(heartbeat("b", 1), 1, 1)
        assert a.read() == []
        assert a.of("b").state is SlotState.STRANGE
    assert (a.counters.bad_key - before[0], a.counters.other_cluster - before[1]) == (1, 1)


def test_a_second_daemon_under_the_same_name_is_noticed_by_both(disk: Disk):
    first, second = disk.member("a"), disk.member("a")
    for _ in range(3):
        for member in (first, second):
            member.read()
            member.write()
    assert first.counters.intruded
    assert second.counters.intruded


# ---------------------------------------------------------------- members


def test_a_member_that_gets_the_slot_of_one_that_left_does_not_inherit_its_word(disk: Disk):
    a, _ = met(disk, "a", "b")
    volume = a.board.volume
    a.board.adopt(Volume(cluster="t-1", name="t", disk=DISK, unit=4096, members=("a", "d", "c", ""), revision=2))
    view = a.board.view(1, disk.now)
    assert (view.member, view.state, view.sequence) == ("d", SlotState.BLANK, 0)
    a.read()
    assert a.board.view(1, disk.now).fault is Fault.MISPLACED, "what b wrote last"
    a.board.adopt(volume)
    assert a.of("a").state is SlotState.LIVE, "a slot that stays keeps what is known"


def test_a_heartbeat_too_large_for_a_slot_is_refused(disk: Disk):
    a, _ = met(disk, "a", "b")
    with pytest.raises(ValueError):  # noqa: PT011 - a number of bytes
        a.board.record(heartbeat("a", 9, unfit=tuple(f"queue-manager-{n}" for n in range(300))), 0, 0)
    a.write()
