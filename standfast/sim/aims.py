"""Faults aimed at moments of the protocol: right after an acknowledgement, a vote, a write, a start.

The narrow windows (a vote, then a restart, then an acknowledgement; a heal just after the first of two votes; a pause
between deciding and writing) are reached in minutes of virtual time only this way.
"""

from collections.abc import Callable

from standfast.quorum import signals as sig
from standfast.quorum.placement import ALL
from standfast.sim.configuring import SHORTER
from standfast.sim.faults import Faults
from standfast.sim.machine import Machine
from standfast.sim.world import NS_PER_MS

AIMS: dict[str, float] = {
    "ack": 0.01,
    "vote": 2.0,
    "stopped": 2.5,
    "launch": 1.0,
    "ask evict": 1.0,
    "ask back": 1.0,
    "ask doubt": 0.7,
    "ask verdict": 1.5,
    "ask begin": 0.6,
    "ask release": 0.6,
    "ask note": 0.2,
    "ask place": 0.5,
    "ask join": 0.6,
    "ask inherit": 0.5,
    "ask aim": 0.4,
    "ask leave": 0.4,
    "ask adopt": 0.7,
    "ask conclude": 1.0,
    "did evict": 1.0,
    "did begin": 0.5,
    "did release": 0.5,
    "did doubt": 0.8,
    "did verdict": 1.0,
    "did back": 0.8,
    "did join": 0.6,
    "did inherit": 0.5,
    "did place": 0.4,
    "did configure": 1.0,
    "adopted": 2.0,
    "ask members": 3.0,
    "did members": 3.0,
    "ask settle": 1.0,
    "did settle": 1.0,
    "did adopt": 1.0,
    "did conclude": 1.5,
    "override in_force": 1.5,
    "override settling": 1.5,
}
"""Moments, and the usual weight of a fault at each: `ask X`: X is about to be written; `did X`: the store has it."""


class Aims:
    """Of one run; `chances` for each moment."""

    def __init__(self, faults: Faults, chances: dict[str, float]) -> None:
        self._faults = faults
        self._world = faults.world
        self._chances = {name: min(chance, 0.6) for name, chance in chances.items() if chance > 0}
        self._acks = self._countdown()

    def _countdown(self) -> int:
        chance = self._chances.get("ack", 0.0)
        return int(self._world.rng.expovariate(chance)) if chance else 1 << 60

    def acknowledged(self, machine: Machine, about: str) -> None:
        """An acknowledgement was just sent."""
        if self._faults.awaited == about:
            self._world.after(self._world.between(0, NS_PER_MS), self._faults.let_go)
        self._acks -= 1
        if self._acks < 0:
            self._acks = self._countdown()
            if self._faults.on:
                self._aim("ack", machine, about)

    def committed(self, machine_id: str, tag: str) -> None:
        """The store has carried out a transaction; its answer has not left yet."""
        kind, _, about = tag.partition(":")
        machine = next(m for m in self._faults.machines if m.id == machine_id)
        self.moment(f"did {kind}", machine, about)

    def moment(self, name: str, machine: Machine, about: str) -> None:
        """Something is about to be done, or was just done."""
        chance = self._chances.get(name)
        if self._faults.on and chance is not None and self._world.chance(chance):
            self._aim(name, machine, about)

    def _aim(self, name: str, machine: Machine, about: str) -> None:
        world = self._world
        action = world.rng.choice(OF_A_MOMENT.get(name, ACTIONS))
        interval_ns = self._faults.around.cluster.timing.interval_ns
        delay_ns = world.rng.choice([0, 0, 0, NS_PER_MS // 2, 3 * NS_PER_MS, 12 * NS_PER_MS, interval_ns])
        world.coverage[f"aimed at: {name}"] += 1
        world.coverage[f"aimed: {action.__name__.strip('_').replace('_', ' ')}"] += 1
        if delay_ns and action not in {_hold, _late_of_a_former_life, _pause_past_the_lease, _retime_meanwhile}:
            self._faults.later(world.between(0, delay_ns), self._act, action, machine, about, name)
        else:
            self._act(action, machine, about, name)

    def _act(self, action: "Action", machine: Machine, about: str, name: str) -> None:
        if self._faults.on:
            self._world.say("fault", f"{action.__name__.strip('_').replace('_', ' ')}, aimed at {name} of {machine.id}")
            action(self._faults, machine, self._member(about))

    def _member(self, about: str) -> str:
        """The machine that it is about: a member's own, or where the queue manager runs."""
        for machine in self._faults.machines:
            if machine.name == about or (machine.powered and about in machine.warden.processes):
                return machine.id
        return self._world.rng.choice(self._faults.machines).id


Action = Callable[[Faults, Machine, str], None]


def _short(f: Faults) -> int:
    return f.world.between(NS_PER_MS // 5, 30 * NS_PER_MS)


def _pause(f: Faults, machine: Machine, _: str) -> None:
    f.pause(machine, f.world.rng.choice([_short(f), f.span()]))


def _pause_past_the_lease(f: Faults, machine: Machine, _: str) -> None:
    f.pause(machine, int(f.term_ns * f.world.rng.uniform(0.8, 1.3)))


def _pause_subject(f: Faults, _: Machine, subject: str) -> None:
    f.pause(_find(f, subject), f.world.rng.choice([_short(f), f.span()]))


def _restart(f: Faults, machine: Machine, _: str) -> None:
    f.restart_daemon(machine, _short(f))


def _restart_and_heal(f: Faults, machine: Machine, subject: str) -> None:
    f.restart_daemon(machine, _short(f))
    f.heal(f.both(machine.id, subject))


def _restart_subject(f: Faults, _: Machine, subject: str) -> None:
    f.restart_daemon(_find(f, subject), _short(f))


def _power_off(f: Faults, machine: Machine, _: str) -> None:
    f.crash_machine(machine)


def _power_off_subject(f: Faults, _: Machine, subject: str) -> None:
    f.crash_machine(_find(f, subject))


def _isolate(f: Faults, machine: Machine, _: str) -> None:
    f.cut(f.around_of(machine.id), f.span())


def _heal_subject(f: Faults, machine: Machine, subject: str) -> None:
    f.heal(f.both(machine.id, subject))


def _heal_and_cut_others(f: Faults, machine: Machine, subject: str) -> None:
    """Only this voter and the subject hear each other: what it says now counts alone."""
    f.cut((f.around_of(subject) | f.around_of(machine.id)) - f.both(machine.id, subject), f.span())
    f.heal(f.both(machine.id, subject))


def _heal_and_pause_coordinator(f: Faults, machine: Machine, subject: str) -> None:
    f.heal(f.both(machine.id, subject))
    rank = f.around.cluster.rank
    coordinator = next(
        (m for name in rank for m in f.machines if m.id == name and m.id not in {machine.id, subject}), None
    )
    if coordinator is not None:
        f.pause(coordinator, f.world.rng.choice([_short(f), f.span()]))


def _heal_all(f: Faults, _: Machine, __: str) -> None:
    f.heal(f.around.network.cut | f.around.network.filtered)


def _cut_subject(f: Faults, machine: Machine, subject: str) -> None:
    if machine.id != subject:
        f.cut(f.both(machine.id, subject), f.span())


def _roll_on(f: Faults, machine: Machine, subject: str) -> None:
    """The cut around the subject leaves this machine and takes the next."""
    f.heal(f.both(machine.id, subject))
    others = [m.id for m in f.machines if m.id not in {machine.id, subject}]
    f.cut(f.both(subject, f.world.rng.choice(others)), f.span())


def _slow_store(f: Faults, _: Machine, __: str) -> None:
    f.slow_store(f.span())


def _hold(f: Faults, machine: Machine, subject: str) -> None:
    """What is written now is carried out when the subject is acknowledged again.

    Till then the writer is cut off, the other voters have restarted, and only they hear the subject again.
    """
    others = {m.id for m in f.machines if m.id not in {machine.id, subject}}
    f.around.store.hold_next = True
    f.cut(f.around_of(machine.id) | f.around_of(subject), 3 * f.term_ns)
    for other in f.machines:
        if other.id in others:
            f.restart_daemon(other, _short(f))
    f.later(int(f.term_ns * f.world.rng.uniform(0.9, 1.3)), _expect, f, others, subject)


def _heal_its_voice(f: Faults, _: Machine, subject: str) -> None:
    """The others hear the subject again, and it does not hear them."""
    deafened = {(m.id, subject) for m in f.machines if m.id != subject}
    f.heal(f.around_of(subject) - deafened)
    f.cut(deafened, f.span())


def _unfit_winner(f: Faults, _: Machine, subject: str) -> None:
    """What is written now is carried out late; meanwhile the tables turn: the one that stays can start nothing."""
    f.around.store.hold_next = True
    for machine in f.machines:
        if machine.id != subject:
            machine.take(sig.FitnessChanged((ALL,)))
            f.later(3 * f.term_ns, machine.take, sig.FitnessChanged(()))
    f.later(int(f.term_ns * f.world.rng.uniform(0.3, 2.0)), f.let_go)


def _expect(f: Faults, others: set[str], subject: str) -> None:
    f.heal({pair for other in others for pair in f.both(other, subject)})
    f.slow_store(f.term_ns)
    f.awaited = subject
    f.later(f.term_ns, f.let_go)


def _retime_meanwhile(f: Faults, machine: Machine, _: str) -> None:
    """Who was about to join goes on when others have settled on a shorter term."""
    by = f.world.rng.choice([other for other in f.machines if other is not machine])
    f.pause(machine, int(f.term_ns * f.world.rng.uniform(1.0, 3.0)))
    f.retime(by, SHORTER)


def _late_of_a_former_life(f: Faults, machine: Machine, _: str) -> None:
    """What is written now is carried out when the writer's daemon has been restarted, soon or after a while."""
    f.around.store.hold_next = True
    f.later(f.world.between(1, NS_PER_MS), f.restart_daemon, machine, _short(f))
    f.later(int(f.term_ns * f.world.rng.choice([0.03, 0.1, 0.3, 1.0]) * f.world.rng.uniform(0.5, 1.5)), f.let_go)


def _restart_subject_and_heal_it(f: Faults, _: Machine, subject: str) -> None:
    """A member of which the store has just said something is restarted, and hears everybody."""
    f.heal(f.around_of(subject))
    f.restart_daemon(_find(f, subject), _short(f))


def _change_again_and_split(f: Faults, machine: Machine, _: str) -> None:
    """Right behind a change of who votes another is ordered at the same place, and then the cluster is split."""
    f.later(f.world.between(NS_PER_MS, 20 * NS_PER_MS), f.add_at_once, machine)
    f.later(f.world.between(2 * NS_PER_MS, 60 * NS_PER_MS), f.split_data, 2 * f.term_ns)


def _change_elsewhere(f: Faults, machine: Machine, _: str) -> None:
    """Another operator orders another change at the same moment."""
    others = [m for m in f.machines if m is not machine and m.daemon is not None]
    if others:
        f.add_at_once(f.world.rng.choice(others))


def _side_with_a_stranger(f: Faults, _: Machine, __: str) -> None:
    """One member is left with nobody but a machine that does not vote, if there is one that is at work."""
    strangers = f.strangers()
    if strangers:
        member = f.world.rng.choice([m.id for m in f.machines if m.id not in strangers])
        side = {member, f.world.rng.choice(strangers)}
        across = {pair for one in side for m in f.machines if m.id not in side for pair in f.both(one, m.id)}
        f.cut(across, 3 * f.term_ns)


def _find(f: Faults, machine_id: str) -> Machine:
    return next(m for m in f.machines if m.id == machine_id)


ACTIONS: tuple[Action, ...] = (
    _pause,
    _pause,
    _pause_subject,
    _restart,
    _restart_and_heal,
    _restart_and_heal,
    _restart_subject,
    _power_off,
    _power_off_subject,
    _isolate,
    _heal_subject,
    _heal_subject,
    _heal_and_cut_others,
    _heal_and_pause_coordinator,
    _heal_all,
    _cut_subject,
    _roll_on,
    _slow_store,
)

OF_A_MOMENT: dict[str, tuple[Action, ...]] = {
    "launch": (*ACTIONS, *(_pause_past_the_lease,) * 6),
    "ask join": (*ACTIONS, *(_retime_meanwhile,) * 12, *(_late_of_a_former_life,) * 8),
    "adopted": (*ACTIONS, *(_isolate,) * 20, *(_restart,) * 4),
    "did conclude": (*ACTIONS, *(_isolate,) * 8, *(_restart,) * 4),
    "did join": (*ACTIONS, *(_isolate,) * 8),
    "did doubt": (*ACTIONS, *(_heal_its_voice,) * 8, *(_restart_subject_and_heal_it,) * 8),
    "ask inherit": (*ACTIONS, *(_late_of_a_former_life,) * 6),
    "ask release": (*ACTIONS, *(_late_of_a_former_life,) * 6),
    "ask note": (*ACTIONS, *(_late_of_a_former_life,) * 6),
    "ask begin": (*ACTIONS, *(_late_of_a_former_life,) * 6),
    "ask leave": (*ACTIONS, *(_late_of_a_former_life,) * 6),
    "vote": (*ACTIONS, *(_heal_subject,) * 8),
    "stopped": (*ACTIONS, *(_heal_all,) * 12),
    "ask evict": (*ACTIONS, *(_hold,) * 4),
    "ask members": (*ACTIONS, *(_change_elsewhere,) * 12),
    "did members": (*ACTIONS, *(_change_again_and_split,) * 8, *(_side_with_a_stranger,) * 8),
    "ask verdict": (*ACTIONS, *(_unfit_winner,) * 12),
}
"""Where some actions are of more use than elsewhere."""
