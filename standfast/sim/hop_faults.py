"""Faults of next hops at random: one member loses its own, or all lose the gateway that they share."""

from standfast.model.messages import Hop
from standfast.model.timing import NS_PER_MS
from standfast.sim.cuts import Cuts
from standfast.sim.machine import Machine

HOP_FAULTS: dict[str, float] = {
    "lose hop": 2.0,
    "lose gateway": 2.0,
}
"""Every kind and its usual weight."""


class HopFaults(Cuts):
    """Does them, and undoes them after a while. Members without hops never notice."""

    incidents = 0

    def _lose_hop(self) -> None:
        self._lose([self._any()])

    def _lose_gateway(self) -> None:
        self._lose(self.machines)

    def _lose(self, machines: list[Machine]) -> None:
        """They notice within one interval of each other, both ways."""
        self.incidents += 1
        policy = self.around.cluster.policy
        interval_ns = policy.hop_interval_ms * NS_PER_MS
        span_ns = int(self.term_ns * self.world.rng.uniform(1.0, 8.0))
        steady_ns = (policy.hop_found - policy.hop_missed) * interval_ns
        for machine in machines:
            lag_ns = self.world.between(0, interval_ns)
            self.world.after(lag_ns, machine.next_hop, Hop.LOST, self.incidents)
            self.world.after(span_ns + lag_ns, machine.next_hop, Hop.RETURNING, self.incidents)
            self.world.after(span_ns + lag_ns + steady_ns, machine.next_hop, Hop.FOUND, self.incidents)
