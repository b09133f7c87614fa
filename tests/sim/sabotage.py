"""Planted bugs: each replaces a line of the protocol in a copy of the package, and a simulator runs on that copy."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2] / "standfast"
NEEDED = ("__init__.py", "errors.py", "model", "quorum", "sim")

HUNT = """
import sys
from standfast.sim.run import simulate
members, minutes, first, seeds = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
about = {"copies": True} if sys.argv[5] == "copies" else {"about": sys.argv[5]}
for seed in range(first, first + seeds):
    try:
        found = simulate(seed, members, minutes, **about)
    except Exception as error:
        print(seed, "crash: " + repr(error), flush=True)
        break
    if found.broken:
        print(seed, found.broken + ": " + found.how, flush=True)
        break
"""


class Edit(NamedTuple):
    """A line of the package and what stands there instead; the original occurs exactly once."""

    file: str
    original: str
    instead: str


class Sabotage(NamedTuple):
    """One planted bug: a single edit, or a pair where a second guard would hide the first.

    `about`: the theme of the runs that show it, one of sim/themes.py; drawn when there is none. `copies`: it shows only
    where data are replicated.
    """

    name: str
    edits: tuple[Edit, ...]
    members: int = 3
    minutes: float = 1.0
    why_pair: str = ""
    copies: bool = False
    about: str = ""


class Find(NamedTuple):
    """The seed that found it, after how many others, and which promise broke."""

    seed: int
    tried: int
    broken: str


def copy_package(folder: Path, edits: tuple[Edit, ...]) -> None:
    """The package as the simulator needs it, with the edits."""
    for name in NEEDED:
        source, target = PACKAGE / name, folder / "standfast" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for edit in edits:
        path = folder / "standfast" / edit.file
        text = path.read_text()
        assert text.count(edit.original) == 1, f"{edit.file} has {text.count(edit.original)} times {edit.original!r}"
        path.write_text(text.replace(edit.original, edit.instead))


def hunt(folder: Path, sabotage: Sabotage, seeds: int, first: int = 0) -> Find | None:
    """The first seed in which the simulator sees a promise broken."""
    copy_package(folder, sabotage.edits)
    arguments = [str(sabotage.members), str(sabotage.minutes), str(first), str(seeds)]
    arguments.append("copies" if sabotage.copies else sabotage.about)
    done = subprocess.run(
        [sys.executable, "-c", HUNT, *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=600
    )
    if not done.stdout:
        return None
    seed, _, broken = done.stdout.strip().partition(" ")
    return Find(int(seed), int(seed) - first + 1, broken)


_WARDEN_OFF = Edit("sim/warden.py", "        if not self._armed:", "        if False:")

SABOTAGES = (
    Sabotage(
        "a voter acknowledges after its vote",
        (Edit("quorum/grants.py", "if kept.revision <= self._promises.get(member, -1):", "if False:"),),
        about="everyday",
    ),
    Sabotage(
        "a voter ignores drift",
        (Edit("model/timing.py", "return term_ns + -(-term_ns // DRIFT_DIVISOR)", "return term_ns"),),
    ),
    Sabotage(
        "one vote less than a majority evicts",
        (
            Edit(
                "quorum/coordinator.py", "votes >= self._rules.majority else", "votes >= self._rules.majority - 1 else"
            ),
        ),
    ),
    Sabotage(
        "a vote is counted twice",
        (Edit("quorum/coordinator.py", "votes += any(", "votes += 2 * any("),),
    ),
    Sabotage(
        "a voter is ready at once after a restart",
        (
            Edit(
                "quorum/grants.py",
                "        self.ready_at_ns = self._bind_from_ns + self._wait_ns\n",
                "        self.ready_at_ns = self._bind_from_ns\n",
            ),
        ),
    ),
    Sabotage(
        "a restarted voter trusts its empty memory",
        (
            Edit(
                "quorum/grants.py",
                "        self.ready_at_ns = self._bind_from_ns + self._wait_ns\n",
                "        self.ready_at_ns = 0\n",
            ),
            Edit(
                "quorum/grants.py", "                self._promises[name] = kept.revision\n", "                pass\n"
            ),
        ),
        why_pair="after the wait of one term the ballot is mostly void; a scenario shows the second line alone",
    ),
    Sabotage(
        "the lease counts from the receipt of the acknowledgement",
        (Edit("quorum/dialogue.py", "acknowledged(ack.sender, ack.sent_ns,", "acknowledged(ack.sender, now_ns,"),),
    ),
    Sabotage(
        "the lease of the old incarnation is kept after a join",
        (
            Edit(
                "quorum/core.py",
                "(self.lease.carry_on if record.since else self.lease.begin_again)()",
                "self.lease.carry_on()",
            ),
            Edit(
                "quorum/grants.py",
                "            return Refusal.TOLD_TO_GO\n",
                "            self._lapse_at.pop(member, None)\n            return Refusal.TOLD_TO_GO\n",
            ),
        ),
        why_pair="voters count a grant by the member's name, so that it covers all of its incarnations",
    ),
    Sabotage(
        "begin is not guarded",
        (
            Edit(
                "quorum/transactions.py",
                "        guards=(assignment_guard(kept), member_guard(me)),\n"
                "        puts=(put(assignment),),\n"
                "        events=(qm_event(EventKind.QM_STARTING",
                "        guards=(),\n        puts=(put(assignment),),\n        events=(qm_event(EventKind.QM_STARTING",
            ),
        ),
    ),
    Sabotage(
        "launch without begin",
        (
            Edit(
                "quorum/keeper.py",
                "        if a.phase is Phase.ASSIGNED:",
                "        if a.phase is Phase.ASSIGNED and s.now_ns < run.not_before_ns:",
            ),
            Edit(
                "quorum/keeper.py",
                "elif a.phase in (Phase.STARTING, Phase.RUNNING) and",
                "elif a.phase in (Phase.ASSIGNED, Phase.STARTING, Phase.RUNNING) and",
            ),
        ),
        why_pair="one change that takes two lines",
    ),
    Sabotage(
        "the stop begins when the lease ends",
        (
            Edit(
                "quorum/keeper.py",
                "        if s.now_ns >= s.lease_end_ns - self._rules.stop_ns:\n            return StopReason.LEASE",
                "        if s.now_ns >= s.lease_end_ns:\n            return StopReason.LEASE",
            ),
            _WARDEN_OFF,
        ),
        why_pair="the warden stops by itself",
    ),
    Sabotage(
        "nothing is killed before the lease ends",
        (
            Edit("quorum/keeper.py", "(overdue or s.now_ns >= s.lease_end_ns - self._rules.kill_ns)", "overdue"),
            _WARDEN_OFF,
        ),
        why_pair="the warden kills by itself",
    ),
    Sabotage(
        "stopped is said while a process lives",
        (
            Edit(
                "quorum/membership.py",
                "        if kept is None or alive:\n            return\n        due",
                "        if kept is None:\n            return\n        due",
            ),
        ),
    ),
    Sabotage(
        "stopped is said for a ballot of the disk while a process lives",
        (
            Edit(
                "quorum/membership.py",
                "        if kept is None or alive:\n            return\n        due",
                "        self.stopped_word = max(self.stopped_word, called)\n"
                "        if kept is None or alive:\n            return\n        due",
            ),
        ),
    ),
    Sabotage(
        "heartbeats of the disk count as contact",
        (
            Edit(
                "quorum/core.py",
                "            if not self.words.read(given.heartbeat, now_ns) and not out:",
                "            self.hearing.heard(given.heartbeat, now_ns)\n"
                "            if not self.words.read(given.heartbeat, now_ns) and not out:",
            ),
        ),
        about="disk",
    ),
    Sabotage(
        "the word stopped is forgotten when contact is back",
        (
            Edit(
                "quorum/membership.py",
                "max(self.stopped_word, called, kept.revision if due else 0)",
                "max(called, kept.revision if due else 0)",
            ),
        ),
    ),
    Sabotage(
        "launch after the word stopped",
        (Edit("quorum/keeper.py", "s.leaving or s.sworn_off or s.called_off:", "s.leaving or s.called_off:"),),
        about="everyday",
    ),
    Sabotage(
        "evict is not guarded by the ballot",
        (
            Edit(
                "quorum/transactions.py",
                "    guards = [member_guard(kept), _settings_guard(rules.revision)]\n",
                "    guards = []\n",
            ),
        ),
    ),
    Sabotage(
        "a voter acknowledges a member that was told to go",
        (
            Edit(
                "quorum/grants.py",
                "if kept.record.state is MemberState.EVICTING or kept.record.state in GONE:",
                "if kept.record.state in GONE:",
            ),
        ),
    ),
    Sabotage(
        "a member joins anew while a process lives",
        (
            Edit("quorum/membership.py", "        if alive:\n", "        if False:\n"),
            Edit(
                "quorum/membership.py",
                "MemberState.EVICTING and given",
                "MemberState.EVICTING",
            ),
        ),
        why_pair="it joins anew after an eviction, which waits for the lease, or after its word",
        about="everyday",
    ),
    Sabotage(
        "what was released is started again",
        (
            Edit("quorum/keeper.py", "        if run.asked_revision >= kept.revision or s.now", "        if s.now"),
            Edit(
                "quorum/keeper.py",
                "        if a.target is not None or run.failed or s.leaving or s.sworn_off or s.called_off:",
                "        if s.sworn_off:",
            ),
        ),
        why_pair="the reasons for a release outlast it: target, failure and leaving are looked at too",
    ),
    Sabotage(
        "handed over before it has stopped",
        (
            Edit(
                "quorum/keeper.py",
                "        if not run.alive:\n            yield from self._give_away",
                "        if True:\n            yield from self._give_away",
            ),
        ),
    ),
    Sabotage(
        "another machine joins under the name at once",
        (
            Edit(
                "quorum/membership.py",
                "        if kept.record.identity != self.machine:\n            return False\n",
                "",
            ),
        ),
    ),
    Sabotage(
        "a machine that is not the member, or no more, votes",
        (
            Edit(
                "quorum/core.py",
                "        if asked_ns is not None and self.membership.speaks(self.view):\n",
                "        until_ns = 1 << 62\n        if False:\n",
            ),
        ),
        about="machines",
    ),
    Sabotage(
        "a machine that took another's place votes at once",
        (Edit("quorum/core.py", "        if record.replaced:", "        if False:"),),
        members=5,
        about="machines",
    ),
    Sabotage(
        "a restarted voter waits for the term of its file only",
        (Edit("quorum/grants.py", "        self.ready_at_ns = self._bind_from_ns + self._wait_ns\n", ""),),
        about="settings",
    ),
    Sabotage(
        "a voter counts its grant by its own term",
        (
            Edit(
                "quorum/dialogue.py",
                "            heartbeat.term_ns,\n            listening",
                "            self._voice._rules.term_ns,\n            listening",
            ),
        ),
        about="settings",
    ),
    Sabotage(
        "a shorter term is reckoned with at once",
        (
            Edit(
                "quorum/transactions.py",
                "ceiling_ms = max(kept.record.term_ceiling_ms, wanted.timing.term_ms)",
                "ceiling_ms = wanted.timing.term_ms",
            ),
        ),
    ),
    Sabotage(
        "a shorter term is reckoned with as soon as all have adopted it",
        (Edit("quorum/settlement.py", "now_ns - since >= wait_ns", "now_ns >= since"),),
    ),
    Sabotage(
        "a shorter term is reckoned with though somebody has not adopted it",
        (Edit("quorum/settlement.py", "return not self.missing(view) and all(", "return all("),),
        about="settings",
    ),
    Sabotage(
        "quarantine is over by itself after a return",
        (
            Edit(
                "quorum/transactions.py",
                "quarantined=kept.record.quarantined if kept and not other else False,",
                "quarantined=False,",
            ),
        ),
    ),
    Sabotage(
        "a queue manager moves back against the operator",
        (Edit("quorum/failback.py", " or a.reason == BY_HAND", ""),),
        about="operators",
    ),
    Sabotage(
        "a queue manager moves back to where it failed",
        (Edit("quorum/failback.py", " and name not in a.shunned", ""),),
        about="queue managers",
    ),
    Sabotage(
        "the dead vouch for a member",
        (
            Edit(
                "quorum/hearing.py",
                "            if other in gone and (ears is None or ears.bit_count() < self._rules.majority):",
                "            if False:",
            ),
        ),
        members=5,
        about="everyday",
    ),
    Sabotage(
        "a queue manager that is halted runs on",
        (Edit("quorum/keeper.py", "        if _halted(kept, s):\n            return StopReason.HALTED\n", ""),),
        about="settings",
    ),
    Sabotage(
        "a queue manager is removed though somebody owns it",
        (Edit("quorum/configuration.py", "return spec.halted and view", "return True or view"),),
        about="settings",
    ),
    Sabotage(
        "a queue manager that was removed comes back under its first epoch",
        (Edit("quorum/configuration.py", "former.record.epoch if former is not None else 0", "0"),),
    ),
    Sabotage(
        "a doubt is waited for without end",
        (
            Edit(
                "quorum/arbiter.py",
                "return Judgement.DEAF if self._lingers(name, kept.revision, now_ns) else judgement",
                "return judgement",
            ),
        ),
        members=5,
        about="everyday",
    ),
    Sabotage(
        "two changes of the voters at once",
        (
            Edit(
                "quorum/voters.py",
                "guards, puts = [Guard(SETTINGS_KEY, kept.revision)], [",
                "guards: list[Guard] = []\n    puts: list[Put] = [",
            ),
        ),
        about="voters",
    ),
    Sabotage(
        "the voters are changed before the last change is settled",
        (Edit("quorum/voters.py", "    if not settled:\n", "    if False:\n"),),
        about="voters",
    ),
    Sabotage(
        "a member that still counts is removed",
        (Edit("quorum/voters.py", "not isinstance(order, AddMember) and not _gone(view, name)", "False"),),
        about="voters",
    ),
    Sabotage(
        "votes of a removed member count",
        (
            Edit("quorum/membership.py", "return LeaveReason.REMOVED if mine else None", "return None"),
            Edit(
                "quorum/core.py",
                "if asked_ns is not None and self.membership.speaks(self.view):",
                "if asked_ns is not None and (self.membership.speaks(self.view) or self.me not in self.rules.bits):",
            ),
            Edit("quorum/hearing.py", "if name not in self._rules.bits]:", "if name == self._me]:"),
            Edit("quorum/hearing.py", "mask |= self._rules.bits[name]", "mask |= self._rules.bits.get(name, 0)"),
        ),
        why_pair="a removed machine ends, speaks no more, and is not listened to",
        about="voters",
    ),
    Sabotage(
        "what was told is not counted",
        (Edit("quorum/transactions.py", "told = kept.record.told + len(events)", "told = kept.record.told"),),
    ),
    Sabotage(
        "what runs by another's override is started",
        (
            Edit("quorum/keeper.py", "if self._overrides.held(run.spec.name):", "if False:"),
            Edit("quorum/keeper.py", "elif self._overrides.floor(a.qm) > a.epoch:", "elif False:"),
        ),
        why_pair="an owner does not start under an epoch that an override has passed",
    ),
    Sabotage(
        "a voter forgets overrides when it restarts",
        (Edit("quorum/parts.py", "Overrides(me, remembered.words)", "Overrides(me)"),),
        about="override",
    ),
    Sabotage(
        "who was ordered to run is voted out",
        (
            Edit("quorum/grants.py", " or self._overrides.shields(member):", ":"),
            Edit("quorum/coordinator.py", " or self._overrides.shields(name):", ":"),
        ),
        why_pair="nobody doubts it",
    ),
    Sabotage(
        "an override is settled before the store says who runs what",
        (Edit("quorum/ordered.py", "elif leased and self._all_mine(view):", "elif leased:"),),
    ),
    Sabotage(
        "an override is prolonged after its end was asked for",
        (
            Edit(
                "quorum/ordered.py",
                "self.own.stage in (Stage.IN_FORCE, Stage.ENDING)",
                "self.own.stage is not Stage.OVER",
            ),
            Edit(
                "quorum/ordered.py",
                "        parts = self.own.parts if self.own is not None and self.in_force else ()",
                "        parts = self.own.parts if self.own is not None and self.own.stage is not Stage.ENDING else ()",
            ),
            Edit("quorum/ordered.py", "lost = self.own.stage is Stage.SETTLING and", "lost = False and"),
        ),
        why_pair="one change that takes three lines",
    ),
    Sabotage(
        "who runs what an override covers does not refuse it",
        (
            Edit(
                "quorum/ordered.py",
                "return self.before(word) if self.binding else any(map(word.covers, self._keeper.living()))",
                "return self.before(word) and self.binding",
            ),
        ),
        about="override",
    ),
    Sabotage(
        "what is yet to be inherited refuses no override",
        (Edit("quorum/keeper.py", "yield from self.heritage\n        yield from (qm", "yield from (qm"),),
        about="override",
    ),
    Sabotage(
        "a refused override holds nothing back any more",
        (
            Edit(
                "quorum/overrides.py",
                "any(w.stance is not Stance.ENDED and w.member != self._me and w.covers(qm)",
                "any(w.stance is Stance.ON and w.member != self._me and w.covers(qm)",
            ),
            Edit(
                "quorum/overrides.py",
                "any(w.stance is not Stance.ENDED and w.covers(qm)",
                "any(w.stance is Stance.ON and w.covers(qm)",
            ),
        ),
        why_pair="given away by the coordinator, started by the owner",
        minutes=2.0,
        about="override",
    ),
    Sabotage(
        "the next epoch does not pass that of an override",
        (
            Edit("quorum/overrides.py", "        if floor <= kept.record.epoch:\n", "        if True:\n"),
            Edit("quorum/keeper.py", "elif self._overrides.floor(a.qm) > a.epoch:", "elif False:"),
        ),
        why_pair="an owner does not start under an epoch that its storage refuses",
    ),
    Sabotage(
        "what is inherited is adopted without guards",
        (
            Edit(
                "quorum/transactions.py",
                "        guards=(assignment_guard(kept), member_guard(me)),\n"
                "        puts=(put(assignment),),\n"
                "        events=(qm_event(EventKind.QM_KEPT",
                "        guards=(),\n        puts=(put(assignment),),\n        events=(qm_event(EventKind.QM_KEPT",
            ),
        ),
    ),
    Sabotage(
        "an heir joins though its member was told to go",
        (
            Edit(
                "quorum/membership.py",
                "        return kept if kept.record.state in (MemberState.ONLINE, MemberState.IN_DOUBT) else None\n",
                "        return kept if kept.record.state not in GONE else None\n",
            ),
        ),
        about="links",
    ),
    Sabotage(
        "an heir joins though its member was evicted",
        (
            Edit(
                "quorum/membership.py",
                "        return kept if kept.record.state in (MemberState.ONLINE, MemberState.IN_DOUBT) else None\n",
                "        return kept\n",
            ),
        ),
        about="everyday",
    ),
    Sabotage(
        "what was inherited is launched a second time",
        (
            Edit(
                "quorum/heritage.py",
                "            run.found(survivor, now_ns,",
                "            Run.found(Run(spec.record, assignment, 0), survivor, now_ns,",
            ),
        ),
    ),
    Sabotage(
        "an heir does not stop at the end of the lease that it inherited",
        (
            Edit(
                "quorum/lease.py",
                "        self.end_ns = end_ns\n",
                "        self.end_ns = 2 * end_ns\n",
            ),
            _WARDEN_OFF,
        ),
        why_pair="the warden stops by itself",
    ),
    Sabotage(
        "nothing is adopted",
        (
            Edit(
                "quorum/keeper.py",
                "if kept.record.incarnation != s.incarnation:\n            run.counts",
                "if False:\n            run.counts",
            ),
        ),
    ),
    Sabotage(
        "a link counts as lost at once",
        (Edit("quorum/tears.py", "now_ns - since_ns >= self._rules.term_ns", "now_ns - since_ns >= 0"),),
        about="links",
    ),
    Sabotage(
        "a verdict stands though those who stay have changed",
        (
            Edit(
                "quorum/verdicts.py",
                "Guard(SETTINGS_KEY, rules.revision), *map(_guard, staying)),",
                "Guard(SETTINGS_KEY, rules.revision)),",
            ),
        ),
        about="links",
    ),
    Sabotage(
        "what a member runs does not count",
        (Edit("quorum/ladder.py", "(Rung.RUNS, lambda merits: merits.runs)", "(Rung.RUNS, lambda _: 0)"),),
        about="links",
    ),
    Sabotage(
        "keep sends away too",
        (
            Edit(
                "quorum/rules.py",
                "role is Role.DATA and self.cluster.policy.link_loss is LinkLoss.EVICT",
                "role is Role.DATA",
            ),
        ),
    ),
    Sabotage(
        "an evicted member is not held back",
        (Edit("quorum/hold.py", "<< (steps - 1), LONGEST_TERMS) if steps > 0 else 0", "<< steps, 0)"),),
        about="links",
    ),
    Sabotage(
        "every loss of a link is told", (Edit("quorum/link_news.py", "MOST = 3", "MOST = 1 << 60"),), about="links"
    ),
    Sabotage(
        "every gap is a doubt",
        (Edit("quorum/coordinator.py", "            if not self._may_be_back(name, now_ns):", "            if True:"),),
        about="everyday",
    ),
    Sabotage(
        "who lost its hop hands over at once",
        (Edit("quorum/behind.py", "return now_ns - self._since_ns >= self.wait_ns", "return True"),),
        about="links",
    ),
)
