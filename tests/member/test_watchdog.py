"""The watchdog: it fires by the end of the lease when something still runs, and never else. Devices are stand-ins."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from standfast.clusterfile import Fault, read, template
from standfast.member import warden_watchdog, watchdog_device, watchdog_record
from standfast.member.processes import boot_id
from standfast.member.report import NoticeKind
from standfast.member.warden_client import clear
from standfast.member.warden_protocol import Cause, WatchdogState
from standfast.member.warden_reports import (
    Exited,
    LeaseKill,
    LeaseStop,
    Stuck,
    WardenGone,
    WatchdogOrder,
    WatchdogReport,
)
from standfast.member.warden_reports import Refused as LaunchWasRefused
from standfast.member.warden_watchdog import NS_PER_S, Plan
from standfast.member.watchdog import Evidence, Watchdog
from standfast.member.watchdog_device import Device, Traits, take
from standfast.member.watchdog_record import Phase, Record
from standfast.model.cluster import MemberSpec, Role, WatchdogMode
from standfast.model.events import EventKind
from standfast.model.timing import PROFILES, Timing, lapse_ns, timing
from standfast.model.watchdog import AIM_NS, timeouts, uncovered
from standfast.storage.refusal import LaunchRefusal
from tests.member import watchdog_stand_in
from tests.member.warden_stage import MS, Stage, parent_of, stage_for, until
from tests.member.watchdog_stand_in import StandInWatchdog, notes

NO_DEVICE = "/dev/null"
"""Opened in the place of a device; the stand-in answers for it."""
NORMAL, CAUTIOUS, FAST = PROFILES["normal"], PROFILES["cautious"], PROFILES["fast"]


def plan(timers: Timing = NORMAL, *, required: bool = True, device: str = NO_DEVICE, record: str = "") -> Plan:
    fine, ticking = (tuple((t.seconds, t.need_ns) for t in timeouts(timers, fine=fine)) for fine in (True, False))
    return Plan(device, required, fine, ticking, AIM_NS, record)


class Bench:
    """The warden's watchdog on a virtual clock, with a stand-in for its device and for the warden's timers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, timers: Timing = NORMAL, **device: object) -> None:
        self.now = 1_000 * NS_PER_S
        self.timers = timers
        self.end_ns = self.now + timers.term_ns
        self.device = StandInWatchdog(lambda: self.now, **device)
        self.states: list[WatchdogState] = []
        self.alone = False
        monkeypatch.setattr(watchdog_device, "ioctl", self.device.ioctl)
        monkeypatch.setattr(watchdog_device, "write", self.device.write)
        self.watchdog = warden_watchdog.Watchdog(
            lambda report: self.states.append(report["state"]), lambda: self.alone, self._take
        )

    def _take(self, path: str) -> Device:
        self.device.opened()
        return take(path)

    @property
    def state(self) -> WatchdogState:
        return self.watchdog.state

    @property
    def stop_at(self) -> int:
        return self.end_ns - self.timers.stop_ns

    def follow(self, wanted: Plan | None = None) -> None:
        self.watchdog.follow(wanted or plan(self.timers), self.now, self.end_ns)

    def arm(self) -> LaunchRefusal | None:
        return self.watchdog.arm(self.now, self.end_ns)

    def tend(self) -> None:
        self.watchdog.tend(self.now, self.end_ns, self.stop_at)

    def renew(self) -> None:
        self.end_ns = self.now + self.timers.term_ns
        self.tend()

    def live_until(self, moment: int, late_ns: int = 0) -> None:
        """What the warden's timer does up to that moment, each time late by that much."""
        while (due := self.watchdog.next_ns(self.now, self.end_ns, self.stop_at)) is not None:
            due = max(due, self.now) + late_ns
            if due > moment:
                break
            self.now = due
            self.tend()
        self.now = moment


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


# ---------------------------------------------------------------- timings and devices


@pytest.mark.parametrize(
    ("timers", "device", "timeout_s"),
    [
        (FAST, {}, None),
        (NORMAL, {}, 1),
        (NORMAL, {"identity": "ticks once a second"}, 2),
        (NORMAL, {"identity": "ticks once a second", "lowest_s": 3}, None),
        (NORMAL, {"lowest_s": 2}, 2),
        (NORMAL, {"grain_s": 5}, None),
        (CAUTIOUS, {}, 6),
        (CAUTIOUS, {"identity": "ticks once a second"}, 6),
        (CAUTIOUS, {"grain_s": 4}, 8),
        (CAUTIOUS, {"lowest_s": 10}, 10),
        (CAUTIOUS, {"lowest_s": 14}, None),
        (CAUTIOUS, {"grain_s": 60}, None),
        (timing("fast", evict_after=11), {}, None),
        (timing("fast", evict_after=12), {}, 1),
        (timing("normal", kill_ms=39), {}, None),
        (timing("normal", kill_ms=40), {}, 1),
        (timing("normal", evict_after=40), {}, 1),
        (timing("normal", evict_after=40), {"lowest_s": 5}, 5),
        (timing("cautious", evict_after=200, graceful_ms=150_000, kill_ms=5_000), {}, 60),
        (timing("cautious", evict_after=200, graceful_ms=150_000), {}, 49),
    ],
)
def test_a_device_gets_the_best_timeout_that_it_can_count_or_is_refused(monkeypatch, timers, device, timeout_s):
    bench = Bench(monkeypatch, timers, **device)
    bench.follow()
    assert bench.device.fires_ns is None
    if timeout_s is None:
        assert bench.state is WatchdogState.ABSENT
    else:
        assert (bench.state, bench.device.timeout_s) == (WatchdogState.READY, timeout_s)


@pytest.mark.parametrize("timers", PROFILES.values(), ids=PROFILES)
def test_every_timeout_on_offer_leaves_room_for_a_late_heartbeat_and_for_the_kill(timers):
    for fine in (True, False):
        for timeout in timeouts(timers, fine=fine):
            assert timeout.need_ns == lapse_ns(timeout.seconds * NS_PER_S)
            assert timeout.need_ns + timers.interval_ns <= timers.term_ns
            assert 2 * (timeout.need_ns + AIM_NS - timeout.seconds * NS_PER_S) <= timers.kill_ns


def test_which_profiles_can_be_covered():
    assert [name for name, timers in PROFILES.items() if not uncovered(timers)] == ["normal", "cautious"]


def text_with(mode: WatchdogMode, profile: str, role: Role = Role.DATA) -> bytes:
    members = [MemberSpec(name=name, role=Role.DATA, addresses=(f"127.0.91.{n}",)) for n, name in enumerate("ab", 1)]
    members.append(MemberSpec(name="c", role=role, addresses=("127.0.91.3",), watchdog=mode))
    return template("shop", "0123456789abcdef", members, (), profile).encode()


@pytest.mark.parametrize(
    ("mode", "profile", "role", "problem", "warning"),
    [
        (WatchdogMode.REQUIRED, "fast", Role.DATA, True, False),
        (WatchdogMode.AUTOMATIC, "fast", Role.DATA, False, True),
        (WatchdogMode.OFF, "fast", Role.DATA, False, False),
        (WatchdogMode.REQUIRED, "normal", Role.DATA, False, False),
        (WatchdogMode.AUTOMATIC, "normal", Role.DATA, False, False),
        (WatchdogMode.AUTOMATIC, "normal", Role.WITNESS, False, True),
    ],
)
def test_the_cluster_file_is_judged_with_the_timing(mode, profile, role, problem, warning):
    reading = read(text_with(mode, profile, role))
    place = ("member", 2, "watchdog")
    assert [(p.fault, p.path) for p in reading.problems] == ([(Fault.WATCHDOG, place)] if problem else [])
    assert [(w.fault, w.path) for w in reading.warnings] == ([(Fault.WATCHDOG, place)] if warning else [])
    if reading.cluster:
        assert reading.cluster.members[2].watchdog is mode


# ---------------------------------------------------------------- when it fires


def test_it_is_fed_to_the_end_of_the_lease_and_not_further(bench: Bench):
    bench.follow()
    assert bench.arm() is None
    assert bench.watchdog.next_ns(bench.now, bench.end_ns, bench.stop_at) > bench.now
    bench.live_until(bench.end_ns)
    assert bench.state is WatchdogState.STARVED
    assert bench.end_ns - 2 * AIM_NS - 10 * MS <= bench.device.fires_ns <= bench.end_ns


@pytest.mark.parametrize("profile", ["normal", "cautious"])
@pytest.mark.parametrize("seed", range(40))
def test_it_fires_neither_after_the_lease_nor_while_the_lease_is_renewed(monkeypatch, profile, seed):
    """Acknowledgements late, lost and doubled; timers late; a device that is 1 % slow: on a virtual clock."""
    dice = random.Random(seed)
    timers = PROFILES[profile]
    bench = Bench(monkeypatch, timers, pace=1.01 if seed % 2 else 1.0)
    bench.follow()
    assert bench.arm() is None
    sent_ns, unbroken = bench.now, True
    for _ in range(300):
        sent_ns += timers.interval_ns
        arrives_ns = sent_ns + dice.choice((MS, MS, timers.interval_ns, 3 * timers.interval_ns))
        if dice.random() < 0.2:
            continue
        bench.live_until(max(bench.now, arrives_ns), late_ns=dice.choice((0, MS, 5 * MS)))
        unbroken = unbroken and bench.now < bench.stop_at
        if unbroken:
            assert bench.now < bench.device.fires_ns
        assert bench.device.fires_ns <= bench.end_ns
        bench.end_ns = max(bench.end_ns, sent_ns + timers.term_ns)
        bench.tend()
        assert bench.device.fires_ns <= bench.end_ns
        if not unbroken:
            break
    bench.live_until(bench.end_ns)
    assert bench.device.fires_ns <= bench.end_ns


def test_a_lease_that_is_too_short_for_it_launches_nothing(bench: Bench):
    bench.follow()
    bench.now = bench.end_ns - lapse_ns(NS_PER_S) + 1
    assert bench.arm() is LaunchRefusal.LEASE_SHORT
    assert bench.device.fires_ns is None


def test_it_rests_when_nothing_runs_and_begins_anew(bench: Bench):
    bench.follow()
    for _ in range(2):
        assert bench.arm() is None
        bench.live_until(bench.end_ns - 1)
        bench.watchdog.rest(bench.now)
        assert bench.device.fires_ns is None
        bench.renew()
        assert bench.device.fires_ns is None
        assert bench.watchdog.next_ns(bench.now, bench.end_ns, bench.stop_at) is None
    once = [WatchdogState.ARMED, WatchdogState.STARVED, WatchdogState.READY]
    assert bench.states == [WatchdogState.READY, *once, *once]


def test_a_majority_that_returns_in_time_feeds_it_again(bench: Bench):
    bench.follow()
    bench.arm()
    bench.live_until(bench.stop_at + MS)
    assert bench.state is WatchdogState.STARVED
    bench.renew()
    assert bench.state is WatchdogState.ARMED
    assert bench.device.fires_ns == bench.now + NS_PER_S


# ---------------------------------------------------------------- devices that refuse


def test_a_broken_device_is_left_running_and_can_be_had_again(bench: Bench):
    bench.follow()
    bench.arm()
    bench.device.broken = True
    bench.tend()
    assert bench.state is WatchdogState.ABSENT
    assert bench.device.fires_ns is not None
    assert not bench.device.forgives
    assert bench.arm() is LaunchRefusal.WATCHDOG
    bench.device.broken = False
    bench.follow()
    assert (bench.state, bench.device.fires_ns) == (WatchdogState.READY, None)


def test_a_magic_word_of_old_does_not_disarm_it(bench: Bench):
    bench.device.forgives = True
    bench.follow()
    bench.arm()
    bench.device.holder_died()
    assert bench.device.fires_ns is not None


def test_a_clean_end_leaves_it_stopped_and_no_magic_word_behind(bench: Bench):
    bench.follow()
    bench.arm()
    bench.watchdog.close()
    assert (bench.device.fires_ns, bench.device.forgives) == (None, False)


@pytest.mark.parametrize("required", [True, False])
def test_only_a_required_one_keeps_queue_managers_from_running(bench: Bench, required: bool):
    bench.follow(plan(device="/no/such/device", required=required))
    assert bench.state is WatchdogState.ABSENT
    assert bench.arm() is (LaunchRefusal.WATCHDOG if required else None)
    bench.follow(plan(required=required))
    assert bench.arm() is None
    assert bench.state is WatchdogState.ARMED


def test_none_is_touched_when_none_is_wanted(bench: Bench):
    bench.follow(Plan())
    assert (bench.state, bench.arm(), bench.device.fires_ns) == (WatchdogState.OFF, None, None)


def test_one_that_can_not_be_stopped_is_fed_for_ever_and_counts_as_none(monkeypatch):
    bench = Bench(monkeypatch, no_way_out=True)
    bench.follow()
    assert bench.state is WatchdogState.CAPTIVE
    assert bench.arm() is LaunchRefusal.WATCHDOG
    for _ in range(200):
        bench.live_until(bench.now + NS_PER_S)
        assert bench.device.fires_ns > bench.now
    bench.watchdog.close()
    assert bench.device.forgives


def test_one_that_is_found_unstoppable_too_late_is_fed_for_ever(bench: Bench):
    bench.follow()
    bench.arm()
    bench.device.no_way_out = True
    bench.watchdog.rest(bench.now)
    assert bench.state is WatchdogState.CAPTIVE
    for _ in range(50):
        bench.live_until(bench.now + NS_PER_S // 2)
        assert bench.device.fires_ns > bench.now


@pytest.mark.parametrize("lacking", [0x80, 0x100])
def test_one_without_an_ability_is_refused_and_stopped(monkeypatch, lacking):
    bench = Bench(monkeypatch, abilities=watchdog_stand_in.ABILITIES & ~lacking)
    bench.follow()
    assert (bench.state, bench.device.fires_ns) == (WatchdogState.ABSENT, None)


def test_one_known_to_have_no_way_out_is_not_even_opened(monkeypatch):
    seen = Traits(identity="Software Watchdog", no_way_out=True, active=False, card_reset=False)
    monkeypatch.setattr(watchdog_device, "traits", lambda _: seen)
    monkeypatch.setattr(watchdog_device, "Device", None)
    with pytest.raises(watchdog_device.MachineError):
        take(NO_DEVICE)


# ---------------------------------------------------------------- a timing that changes


@pytest.mark.parametrize(("before", "after", "timeout_s"), [("normal", "cautious", 6), ("cautious", "normal", 1)])
def test_new_timers_set_it_anew_while_it_is_on_duty(monkeypatch, before, after, timeout_s):
    bench = Bench(monkeypatch, PROFILES[before])
    bench.follow()
    bench.arm()
    bench.timers = PROFILES[after]
    bench.follow(plan(PROFILES[after]))
    for _ in range(200):
        bench.end_ns = max(bench.end_ns, bench.now + bench.timers.term_ns)
        bench.tend()
        bench.live_until(bench.now + bench.timers.interval_ns)
        assert bench.now < bench.device.fires_ns <= bench.end_ns
    assert bench.device.timeout_s == timeout_s
    assert bench.state is WatchdogState.ARMED


def test_timers_that_none_can_keep_stop_it_instead_of_resetting_a_healthy_machine(bench: Bench):
    bench.follow(plan(required=False))
    bench.arm()
    bench.follow(plan(FAST, required=False, device="/dev/zero"))
    assert bench.state is WatchdogState.ARMED  # another device: when it rests
    bench.follow(plan(FAST, required=False))
    assert (bench.state, bench.device.fires_ns) == (WatchdogState.ABSENT, None)


# ---------------------------------------------------------------- in a real warden


@contextlib.asynccontextmanager
async def guarded(monkeypatch, **device: object) -> AsyncIterator[tuple[Stage, Path]]:
    """A stage whose warden has the stand-in; a lease of a minute, and the watchdog ready."""
    async with stage_for("myself", start=False) as stage:
        file = stage.root / "notes"
        monkeypatch.setenv(watchdog_stand_in.SETTINGS, json.dumps({"notes": str(file), **device}))
        stage.interpreter = (sys.executable, watchdog_stand_in.__file__)
        await stage.open()
        stage.lease(60_000)
        yield stage, file


def order(stage: Stage, **changes: object) -> WatchdogOrder:
    record = str(stage.root / watchdog_record.FILE)
    return WatchdogOrder(**{**plan(CAUTIOUS)._asdict(), "record": record, **changes})


async def state(stage: Stage, wanted: WatchdogState) -> WatchdogReport:
    while True:
        report = await stage.report(WatchdogReport)
        if report.state is wanted:
            return report


async def test_it_runs_from_the_first_launch_to_the_last_end(monkeypatch):
    async with guarded(monkeypatch) as (stage, file):
        stage.warden.watchdog(order(stage))
        await state(stage, WatchdogState.READY)
        assert "start" not in [note["act"] for note in notes(file)]
        for qm in ("orders", "bills"):
            await stage.launch_naughty(qm=qm)
        await until(lambda: sum(note["act"] == "feed" for note in notes(file)) > 1)
        stage.warden.kill("orders")
        await stage.report(Exited)
        assert notes(file)[-1]["fires_ns"]
        stage.warden.kill("bills")
        await stage.report(Exited)
        acts = [note["act"] for note in notes(file)]
        assert (acts[-1], acts.count("start")) == ("stop", 1)


async def test_when_only_the_daemon_falls_silent_the_machine_is_not_reset(monkeypatch):
    async with guarded(monkeypatch) as (stage, file):
        stage.warden.watchdog(order(stage))
        await stage.launch_naughty("child")
        end_ns = stage.lease(600)
        await stage.report(Exited)
        last = notes(file)[-1]
        assert (last["act"], last["fires_ns"]) == ("stop", None)
        assert last["at_ns"] < end_ns


async def test_an_ordered_end_of_everything_stops_it_and_blames_no_lease(monkeypatch):
    async with guarded(monkeypatch) as (stage, file):
        stage.warden.watchdog(order(stage))
        await stage.launch_naughty("child", "detached")
        await stage.warden.quit(kill=True)
        assert (await stage.report(Exited)).cause is Cause.KILL
        assert not [report for report in stage.seen if isinstance(report, LeaseStop | LeaseKill | Stuck)]
        assert notes(file)[-1]["fires_ns"] is None


async def test_the_next_daemon_ends_a_former_life_with_the_watchdog_at_rest(monkeypatch):
    async with guarded(monkeypatch) as (stage, file):
        stage.warden.watchdog(order(stage))
        await stage.launch_naughty("child")
        stage.warden.close()
        ended = await clear(stage.run)
        assert (ended.warden, ended.queue_managers) == (stage.warden.state.pid, ("orders",))
        assert [note["act"] for note in notes(file)].count(
            "stop"
        ) == 3  # when taken, when all had ended, when let go of
        assert notes(file)[-1]["fires_ns"] is None


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_when_the_warden_is_gone_or_frozen_it_fires_by_the_end_of_the_lease(monkeypatch, fate):
    async with guarded(monkeypatch) as (stage, file):
        stage.warden.watchdog(order(stage))
        await stage.launch_naughty()
        end_ns = stage.lease(8_000, stop_ms=6_000, kill_ms=1_000)
        await until(lambda: stage.warden.held_end_ns == end_ns)
        warden = stage.warden.state.pid
        if fate is signal.SIGSTOP:
            os.kill(parent_of(warden), fate)  # the backstop, which would wake it
        os.kill(warden, fate)
        if fate is signal.SIGKILL:
            await stage.report(WardenGone)
        assert notes(file)[-1]["fires_ns"] <= end_ns
        if fate is signal.SIGSTOP:
            for process in (parent_of(warden), warden):
                os.kill(process, signal.SIGCONT)


async def test_a_launch_without_the_required_one_is_refused(monkeypatch):
    async with guarded(monkeypatch) as (stage, _):
        stage.warden.watchdog(order(stage, device="/no/such/device"))
        await state(stage, WatchdogState.ABSENT)
        stage.warden.launch(stage.order())
        async with asyncio.timeout(10):
            while not isinstance(refused := await stage.reports.get(), LaunchWasRefused):
                pass
        assert refused.code is LaunchRefusal.WATCHDOG


async def test_a_warden_without_a_daemon_says_on_disk_that_it_rests(monkeypatch):
    async with guarded(monkeypatch) as (stage, _):
        record = stage.root / watchdog_record.FILE
        watchdog_record.write(record, Record(boot_id(), Phase.ARMED))
        stage.warden.watchdog(order(stage))
        await stage.launch_naughty()
        stage.lease(400)
        stage.warden.close()
        await until(lambda: watchdog_record.read(record).phase is Phase.AT_REST)


# ---------------------------------------------------------------- what the daemon makes of it


class Told:
    """A stand-in for journal, reporter and warden."""

    def __init__(self) -> None:
        self.events: list = []
        self.notices: dict[NoticeKind, str] = {}
        self.orders: list[WatchdogOrder] = []
        self.watchdog: WatchdogState | None = None

    def told(self, event) -> None:
        self.events.append(event)

    def notice(self, kind: NoticeKind, subject: str = "", detail: str = "") -> None:
        self.notices[kind] = detail

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


def daemon_side(
    path: Path, mode: WatchdogMode, timers: Timing = NORMAL, role: Role = Role.DATA
) -> tuple[Told, Watchdog]:
    told = Told()
    me = MemberSpec(name="a", role=role, addresses=("127.0.91.1",), watchdog=mode, watchdog_device=NO_DEVICE)
    watchdog = Watchdog(me, timers, path, give=told.orders.append, journal=told, reporter=told)
    watchdog.begin()
    return told, watchdog


OTHER = "another boot"


ENDINGS = [
    (OTHER, Phase.AT_REST, False, None),
    (OTHER, Phase.AT_REST, True, None),
    (OTHER, Phase.ARMED, False, Evidence.ARMED),
    (OTHER, Phase.STARVED, False, Evidence.STARVED),
    (OTHER, Phase.ARMED, True, Evidence.DEVICE),
    (OTHER, Phase.STARVED, True, Evidence.DEVICE),
    ("", Phase.AT_REST, True, None),
    ("", Phase.ARMED, True, None),
    ("", Phase.STARVED, False, None),
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_start_tells_once_that_the_watchdog_reset_the_machine(monkeypatch, tmp_path, ending):
    boot, phase, card_reset, evidence = ending
    seen = Traits(identity="", no_way_out=False, active=False, card_reset=card_reset)
    monkeypatch.setattr("standfast.member.watchdog.traits", lambda _: seen)
    watchdog_record.write(tmp_path / watchdog_record.FILE, Record(boot or boot_id(), phase, NO_DEVICE, 1, 1_000, 2_000))
    told, _ = daemon_side(tmp_path, WatchdogMode.OFF)
    found = [event.fields["evidence"] for event in told.events if event.kind is EventKind.WATCHDOG_RESET]
    assert found == ([evidence] if evidence else [])
    assert bool(told.notices.get(NoticeKind.WATCHDOG_RESET)) is bool(evidence)
    again, _ = daemon_side(tmp_path, WatchdogMode.OFF)
    assert again.events == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"phase": "flying", "boot": "x"}', b'{"phase": "armed"}'])
def test_a_record_that_can_not_be_read_tells_nothing(tmp_path, content):
    (tmp_path / watchdog_record.FILE).write_bytes(content)
    told, _ = daemon_side(tmp_path, WatchdogMode.REQUIRED)
    assert told.events == []


async def test_the_record_follows_the_phases_and_nothing_else(tmp_path):
    _, watchdog = daemon_side(tmp_path, WatchdogMode.REQUIRED)
    file = tmp_path / watchdog_record.FILE
    written_phases = []
    for heard in ("ready", "armed", "armed", "starved", "armed", "absent", "ready", "captive", "ready", "off"):
        before = file.stat().st_ino if file.exists() else 0
        watchdog.told(WatchdogReport(state=WatchdogState(heard), device=NO_DEVICE, timeout_s=1))
        await watchdog.close()
        if file.exists() and file.stat().st_ino != before:
            written_phases.append(watchdog_record.read(file).phase)
    rest, armed, starved = Phase.AT_REST, Phase.ARMED, Phase.STARVED
    assert written_phases == [rest, armed, starved, armed, rest, armed, rest]


@pytest.mark.parametrize("mode", [WatchdogMode.REQUIRED, WatchdogMode.AUTOMATIC])
def test_a_required_one_makes_the_member_unfit_until_it_is_there(tmp_path, mode):
    told, watchdog = daemon_side(tmp_path, mode)
    required = mode is WatchdogMode.REQUIRED
    changes: list[bool] = []
    watchdog.on_trouble = lambda: changes.append(bool(watchdog.trouble))
    assert bool(watchdog.trouble) is required
    for heard, detail in (
        ("absent", "why"),
        ("absent", "why"),
        ("ready", ""),
        ("armed", ""),
        ("captive", "no way out"),
    ):
        watchdog.told(WatchdogReport(state=WatchdogState(heard), detail=detail))
        bad = bool(detail)
        assert bool(watchdog.trouble) is (bad and required)
        assert bool(told.notices[NoticeKind.WATCHDOG_UNREADY]) is bad
        assert told.watchdog is WatchdogState(heard)
    missing, ready = EventKind.WATCHDOG_MISSING, EventKind.WATCHDOG_READY
    assert told.kinds() == [missing, ready, missing]
    assert changes == ([True, False, True] if required else [])


@pytest.mark.parametrize(
    ("mode", "timers", "role", "wanted"),
    [
        (WatchdogMode.OFF, NORMAL, Role.DATA, False),
        (WatchdogMode.AUTOMATIC, NORMAL, Role.DATA, True),
        (WatchdogMode.AUTOMATIC, FAST, Role.DATA, False),
        (WatchdogMode.REQUIRED, NORMAL, Role.WITNESS, False),
    ],
)
def test_what_is_ordered_of_the_warden(tmp_path, mode, timers, role, wanted):
    told, watchdog = daemon_side(tmp_path, mode, timers, role)
    assert [bool(order.device) for order in told.orders] == [wanted]
    watchdog.retimed(CAUTIOUS)
    assert [bool(order.device) for order in told.orders][1:] == [mode is WatchdogMode.AUTOMATIC]


async def test_a_missing_one_is_looked_for_again(monkeypatch, tmp_path):
    monkeypatch.setattr("standfast.member.watchdog.LOOK_AGAIN_S", 0.01)
    told, watchdog = daemon_side(tmp_path, WatchdogMode.AUTOMATIC)
    watchdog.told(WatchdogReport(state=WatchdogState.ABSENT, detail="why"))
    running = asyncio.create_task(watchdog.run())
    await until(lambda: len(told.orders) > 2)
    watchdog.told(WatchdogReport(state=WatchdogState.READY))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert all(given == told.orders[0] for given in told.orders)
