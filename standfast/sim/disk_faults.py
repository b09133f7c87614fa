"""Faults of the shared disk at random: it stalls for one machine or for all, and slots are torn."""

from standfast.sim.cuts import Cuts

DISK_FAULTS: dict[str, float] = {
    "disk stall": 0.7,
    "disk away": 0.4,
    "tear slot": 0.7,
    "isolate beside the disk": 2.0,
}
"""Every kind and its usual weight."""


class DiskFaults(Cuts):
    """Does them, and undoes them after a while. Where no member sees a disk they do nothing."""

    def _stall(self, machines: set[str]) -> None:
        disk = self.around.disk
        disk.stuck |= machines
        self.later(self.span(), disk.unstick, machines)

    def _disk_stall(self) -> None:
        self._stall({self._any().id})

    def _disk_away(self) -> None:
        self._stall({m.id for m in self.machines})

    def _tear_slot(self) -> None:
        self.around.disk.tear(self._any().name)

    def _isolate_beside_the_disk(self) -> None:
        """An owner is cut off from everybody, and the cut ends when its word may be under way."""
        owners = [m.id for m in self.machines if m.powered and m.warden.processes]
        if owners and self.around.disk.there:
            timing, rng = self._timing, self.world.rng
            span_ns = timing.in_doubt_ns + int(timing.interval_ns * rng.uniform(0.5, 6.0))
            self.cut(self.around_of(rng.choice(owners)), span_ns)
