"""What the disk of one machine holds of overrides, from one life of its daemon to the next."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from standfast.model.override import NOTHING, Remembered, Stage, Stance
from standfast.sim.surroundings import Surroundings

if TYPE_CHECKING:
    from standfast.sim.machine import Machine


class Memory:
    """Of one machine."""

    def __init__(self, machine: "Machine", around: Surroundings) -> None:
        self.held: Remembered = NOTHING
        self._machine = machine
        self._around = around

    @property
    def stage(self) -> Stage | None:
        """Of its own override; None when there is none."""
        return self.held.own.stage if self.held.own is not None else None

    @property
    def overridden(self) -> bool:
        """Whether something may run by its own override."""
        return self.stage in (Stage.IN_FORCE, Stage.ENDING)

    def spared(self, others: "Iterable[Machine]") -> bool:
        """Whether nobody who knows of its override may vote it out: not once any member has refused that."""
        own, name = self.held.own, self._machine.name
        words = (word for machine in others for word in machine.memory.held.words)
        return not any((w.member, w.number) == (name, own and own.number) and w.stance is Stance.REFUSED for w in words)

    @property
    def free(self) -> bool:
        """Whether a majority of members could not know of its override."""
        return self._around.told.free(self._machine.id)

    def lose(self) -> None:
        """The disk is empty."""
        self.held = NOTHING
        self._around.told.lost(self._machine.id)

    def keep(self, remembered: Remembered) -> None:
        """It is written, and outlives everything but the disk."""
        before, self.held = self.held, remembered
        own, was, machine, around = remembered.own, before.own, self._machine, self._around
        if own is not None and (was is None or own.number != was.number):
            around.told.granted(machine.id)
        if own is not None and (was is None or own.stage is not was.stage):
            self._note(f"override: {own.stage}", f"notes that its override is {own.stage} {own.ending}".rstrip())
            around.world.at(
                around.world.now_ns, around.interferer.moment, f"override {own.stage}", machine, machine.name
            )
        for word in remembered.words:
            if word not in before.words and word.member != machine.name:
                said = f"notes that the override of {word.member} is {word.stance}"
                self._note(f"override heard of: {word.stance}", said)

    def _note(self, counted: str, said: str) -> None:
        self._around.world.coverage[counted] += 1
        self._around.world.say(self._machine.id, said)
