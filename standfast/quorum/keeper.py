"""The owner's side: starts, watches, stops and hands over the queue managers that are assigned to this incarnation.

Guarantees:
- nothing is launched without the `starting` record of this incarnation and epoch, which only a guarded transaction
  writes, and a lease that lasts longer than the stop budget;
- once a release has been asked for, nothing is launched again before the assignment has changed, whatever became of
  that transaction;
- when the lease has less than the stop budget left, everything is being stopped, and killed at the kill budget.

- what a former process of this member runs goes on only while the store gives it to this member under that epoch;
  before this process has joined, and has adopted the assignment, nothing else is done about it.

A restart in place needs no store: while this incarnation holds a lease nobody else can have become the owner.
"""

from collections.abc import Iterator

from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment, MemberState, Phase, Transaction
from standfast.model.view import Kept, View
from standfast.quorum import transactions as tx
from standfast.quorum.fencing import Fencing
from standfast.quorum.heritage import Heritage
from standfast.quorum.overrides import Overrides
from standfast.quorum.removal import Removal
from standfast.quorum.rules import Rules
from standfast.quorum.runs import NS_PER_S, UNWATCHED, Run, RunState, StopReason
from standfast.quorum.signals import (
    Effect,
    Exited,
    Fenced,
    Kill,
    Launch,
    Launched,
    LaunchRefused,
    Ready,
    Stop,
    Tell,
    Transact,
    Unhealthy,
    Versioned,
)
from standfast.quorum.standing import Standing

Fact = Launched | Ready | Versioned | Unhealthy | LaunchRefused | Exited | Fenced
NS_PER_MS = 1e6


class Keeper:
    """All queue managers of member `me`."""

    def __init__(self, me: str, rules: Rules, overrides: Overrides) -> None:
        self._me = me
        self._overrides = overrides
        self._rules = rules
        self.runs: dict[str, Run] = {}
        self.removal = Removal(me, rules)
        self._starting = 0
        """How many starts are under way, those left out that take long already."""
        self.heritage = Heritage()
        self.fencing = Fencing(me, rules)

    @property
    def alive(self) -> bool:
        """Whether a process of any queue manager may exist."""
        return any(True for _ in self.living())

    def living(self) -> Iterator[str]:
        """Queue managers of which a process may exist here, inherited ones among them."""
        yield from self.heritage
        yield from (qm for qm, run in self.runs.items() if run.alive)

    def owned(self, view: View, span: range) -> Iterator[Kept[Assignment]]:
        """Assignments of this member's incarnations within the span."""
        for kept in view.assignments.values():
            if kept.record.owner == self._me and kept.record.incarnation in span:
                yield kept

    def carried(self, view: View, span: range) -> bool:
        """Whether all that may run is this member's by the store, each under the epoch under which it runs."""
        epochs = {kept.record.qm: kept.record.epoch for kept in self.owned(view, span)}
        return not self.heritage and all(epochs.get(qm) == run.epoch for qm, run in self.runs.items() if run.alive)

    # ------------------------------------------------------------ facts

    def hear(self, given: Fact, now_ns: int) -> Iterator[Effect]:
        """What became of an effect, or of a queue manager by itself."""
        match given:
            case Launched(qm, epoch):
                self.launched(qm, epoch, now_ns)
            case Ready(qm, epoch):
                self.ready(qm, epoch, now_ns)
            case Versioned(qm, epoch, version):
                self.versioned(qm, epoch, version)
            case LaunchRefused(qm, epoch, code) | Exited(qm, epoch, code):
                self.ended(qm, epoch, code, now_ns)
            case Unhealthy(qm, epoch, code):
                yield from self.unhealthy(qm, epoch, code, now_ns)
            case Fenced():
                self.fencing.ended(self.runs, given, now_ns)

    def launched(self, qm: str, epoch: int, now_ns: int) -> None:
        """The process was started."""
        self.heritage.launched(qm, epoch)
        run = self._run(qm, epoch)
        if run is not None:
            run.launched_ns = now_ns

    def ready(self, qm: str, epoch: int, now_ns: int) -> None:
        """It answers its clients."""
        run = self._run(qm, epoch)
        if run is None or run.state is not RunState.LAUNCHING:
            return
        claim_ms, start_ms = (run.launched_ns - run.since_ns) / NS_PER_MS, (now_ns - run.launched_ns) / NS_PER_MS
        run.enter(RunState.SERVING, now_ns)
        run.waits_for = ""
        run.told.append(self._serves(run, {"claim_ms": claim_ms, "start_ms": start_ms}))

    def versioned(self, qm: str, epoch: int, version: str) -> None:
        """The program that runs it is of that version."""
        run = self._run(qm, epoch)
        if run is not None:
            run.version = version

    def unhealthy(self, qm: str, epoch: int, code: str, now_ns: int) -> Iterator[Effect]:
        """It stopped answering: stop it, so that it is started again."""
        run = self._run(qm, epoch)
        if run is not None and run.state in (RunState.LAUNCHING, RunState.SERVING):
            run.told.append(self._failure(qm, epoch, code))
            run.complaint = code
            yield from self._stop(run, StopReason.UNRESPONSIVE, now_ns)

    def ended(self, qm: str, epoch: int, code: str, now_ns: int) -> None:
        """Nothing of it is left (it exited, or its start was refused)."""
        self.heritage.ended(qm, epoch)
        run = self._run(qm, epoch)
        if run is None or not run.alive:
            return
        if run.unasked(code):
            run.told.append(self._failure(qm, epoch, code))
        run.ended(code, now_ns)

    def _run(self, qm: str, epoch: int) -> Run | None:
        run = self.runs.get(qm)
        return run if run is not None and run.epoch == epoch else None

    def _serves(self, run: Run, took_ms: dict[str, float]) -> Event:
        fields: dict[str, str | int | float | bool | None] = {"epoch": run.epoch, "owner": self._me, **took_ms}
        return Event(kind=EventKind.QM_RUNNING, subject=run.spec.name, fields=fields)

    def _version(self, run: Run, was: str) -> Event:
        fields: dict[str, str | int | float | bool | None] = {"epoch": run.epoch, "owner": self._me}
        fields |= {"version": run.version, "was": was or None}
        return Event(kind=EventKind.QM_VERSION, subject=run.spec.name, fields=fields)

    def _failure(self, qm: str, epoch: int, code: str) -> Event:
        return Event(kind=EventKind.QM_FAILED, subject=qm, fields={"epoch": epoch, "owner": self._me, "code": code})

    # ------------------------------------------------------------ decisions

    def tend(self, s: Standing) -> Iterator[Effect]:
        """Everything that is to do now, for every queue manager that is or was this member's."""
        if self.heritage:
            yield from self.heritage.settle(s.view, self.runs, s.now_ns)
        owned = {kept.record.qm: kept for kept in self.owned(s.view, s.span)}
        self.removal.look(s)
        self._starting = sum(run.occupies(s.now_ns) for run in self.runs.values())
        for qm in [*self.runs, *(name for name in owned if name not in self.runs)]:
            kept = owned.get(qm)
            run = self.runs.get(qm)
            if run is not None and (kept is None or kept.record.epoch != run.epoch) and not run.alive:
                del self.runs[qm]
                self.removal.forget(qm)
                run = None
            if run is None and kept is not None:
                run = self.runs[qm] = Run(s.view.specs[qm].record, kept.record, s.now_ns)
                if kept.record.incarnation != s.incarnation and kept.record.phase is Phase.RUNNING:
                    run.told.append(self._failure(qm, run.epoch, UNWATCHED))
            if run is not None:
                yield from self._tend_one(run, kept, s)
        yield from self.fencing.steps(s.view)

    def _tend_one(self, run: Run, kept: Kept[Assignment] | None, s: Standing) -> Iterator[Effect]:
        if run.alive:
            reason = self._must_stop(run, kept, s)
            if reason is not StopReason.NONE and run.state is not RunState.STOPPING:
                yield from self._stop(run, reason, s.now_ns)
            yield from self._hurry(run, s)
        if kept is None or kept.record.epoch != run.epoch or not s.may_stay:
            return
        if kept.record.incarnation != s.incarnation:
            run.counts_from(kept.record.told)
            yield Transact(f"inherit:{run.spec.name}", tx.inherit(kept, s.view.members[self._me]))
            return
        run.heard(kept.record.told)
        if self._overrides.held(run.spec.name):
            # Another member runs it by an override, and takes it over when it is back: only a release helps with that.
            if s.leaving and not run.alive:
                yield from self._let_go(kept, tx.release(kept, "owner_left", (), run.told), run)
            return
        if not _halted(kept, s):
            yield from self.removal.steps(run, kept, s)
        if not run.alive:
            yield from self._give_away(run, kept, s)
            yield from self._start(run, kept, s)
        yield from self._note(run, kept)

    def _must_stop(self, run: Run, kept: Kept[Assignment] | None, s: Standing) -> StopReason:
        if not s.may_keep or s.called_off:
            return StopReason.TOLD_TO_GO
        if kept is None or kept.record.epoch != run.epoch:
            return StopReason.NOT_OWNER
        if _halted(kept, s):
            return StopReason.HALTED
        if s.now_ns >= s.lease_end_ns - self._rules.stop_ns:
            return StopReason.LEASE
        if not s.may_stay:
            return StopReason.NONE
        if kept.record.target is not None:
            return StopReason.MOVING
        if s.leaving and (s.late or not self.removal.elsewhere(kept, s)):
            return StopReason.LEAVING
        return StopReason.NONE

    def _stop(self, run: Run, reason: StopReason, now_ns: int) -> Iterator[Effect]:
        run.begin_stop(reason, now_ns, int(run.spec.stop_timeout_s * NS_PER_S))
        yield Stop(run.spec.name)

    def _hurry(self, run: Run, s: Standing) -> Iterator[Effect]:
        """Turn an overdue start into a stop, and an overdue stop into a kill."""
        overdue = run.overdue(s.now_ns)
        if run.state is RunState.LAUNCHING and overdue:
            yield from self.unhealthy(run.spec.name, run.epoch, "start_timeout", s.now_ns)
        elif run.state is RunState.STOPPING and run.killed:
            if overdue and not run.stuck:
                run.stuck = True
                yield Tell(self._stuck(run))
        elif run.state is RunState.STOPPING and (overdue or s.now_ns >= s.lease_end_ns - self._rules.kill_ns):
            run.killed = True
            run.deadline_ns = s.now_ns + self._rules.kill_ns
            yield Kill(run.spec.name)

    def _stuck(self, run: Run) -> Event:
        return Event(kind=EventKind.QM_STOP_STUCK, subject=run.spec.name, fields={"epoch": run.epoch})

    def _give_away(self, run: Run, kept: Kept[Assignment], s: Standing) -> Iterator[Effect]:
        """Release what must not stay here; nothing of it runs."""
        a = kept.record
        if _halted(kept, s):
            release = tx.halt(kept, run.told)
        elif a.target is not None and self.removal.target_able(a, s):
            release = tx.assign(
                self._overrides.raised(kept),
                s.view.members[a.target],
                a.reason,
                run.told,
                beside=s.ties.guards(a.qm, released_to=a.target),
            )
        elif run.failed:
            release = tx.release(kept, run.failed, (self._me,), run.told)
        elif s.leaving and a.target is None and not self.removal.elsewhere(kept, s):
            release = tx.release(kept, "owner_left", (), run.told)
        elif self._overrides.floor(a.qm) > a.epoch:
            release = tx.release(kept, "epoch_used_by_override", (), run.told)
        else:
            return
        yield from self._let_go(kept, release, run)

    def _let_go(self, kept: Kept[Assignment], release: Transaction, run: Run) -> Iterator[Effect]:
        run.asked_revision = kept.revision
        yield Transact(f"release:{kept.record.qm}", release)

    def _start(self, run: Run, kept: Kept[Assignment], s: Standing) -> Iterator[Effect]:
        a = kept.record
        if a.target is not None or run.failed or s.leaving or s.sworn_off or s.called_off:
            return
        if run.asked_revision >= kept.revision or s.now_ns >= s.lease_end_ns - self._rules.stop_ns:
            return
        if _halted(kept, s):
            return
        if a.phase is Phase.ASSIGNED:
            me = s.view.members[self._me]
            if me.record.state is MemberState.ONLINE:
                yield Transact(f"begin:{a.qm}", tx.begin(kept, me))
        elif s.now_ns < run.not_before_ns:
            return
        elif victim := self.fencing.victim(run, a, s.view):
            yield from self.fencing.ask(run, victim, s.view)
        elif a.phase in (Phase.STARTING, Phase.RUNNING) and self._may_start():
            self._starting += 1
            run.spec, run.fences = s.view.specs[a.qm].record, bool(self.fencing.at_hand(a, s.view))
            run.enter(RunState.LAUNCHING, s.now_ns, int(run.spec.start_timeout_s * NS_PER_S))
            yield Launch(a.qm, a.epoch, fences=run.fences)

    def _may_start(self) -> bool:
        """Whether another start may begin beside those that are under way."""
        most = self._rules.cluster.policy.starts_at_once
        return not most or self._starting < most

    def _note(self, run: Run, kept: Kept[Assignment]) -> Iterator[Effect]:
        serving = run.state is RunState.SERVING
        started = kept.record.phase in (Phase.STARTING, Phase.RUNNING)
        if serving and kept.record.phase is Phase.STARTING and not run.told:
            # Found alive and serving, and the former process had still told, late, that it did not.
            run.told.append(self._serves(run, {}))
        if run.version not in {"", kept.record.version} and EventKind.QM_VERSION not in {e.kind for e in run.told}:
            run.told.append(self._version(run, kept.record.version))
        untold = bool(run.told)
        if started and untold and run.asked_revision < kept.revision:
            yield Transact(
                f"note:{run.spec.name}", tx.note(kept, running=serving, events=run.told, version=run.version)
            )

    def wake_at_ns(self, now_ns: int, lease_end_ns: int) -> int:
        """When the next of its deadlines is due, in nanoseconds; a far time when none is."""
        due = [1 << 62]
        for run in self.runs.values():
            due += (run.deadline_ns, run.occupies_until_ns)
            if run.alive:
                due += (lease_end_ns - self._rules.stop_ns, lease_end_ns - self._rules.kill_ns)
            else:
                due.append(run.not_before_ns)
        return min(at for at in due if at > now_ns)


def _halted(kept: Kept[Assignment], s: Standing) -> bool:
    """Whether an operator wants it stopped."""
    return s.view.specs[kept.record.qm].record.halted
