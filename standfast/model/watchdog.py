"""Which time-outs of a kernel watchdog keep a member's timing: the machine is reset by the end of its lease.

A watchdog resets the machine when it was not fed for its time-out T, a whole number of seconds. It is fed at a moment
t only when t + lapse(T) is not after the end of the lease that voters have confirmed: so it fires when the lease ends
at the latest, and voters let another owner start 1 % of the term later. lapse(T) allows for a device whose clock is 1 %
slow.

All of this has to fit into the term; `timeouts` says with which T it does, best first:

- An acknowledgement that comes one interval late must feed still: lapse(T) + interval <= term.
- What can be killed was killed before the device fires: lapse(T) - T + AIM_NS takes half of the kill budget at most.
- A device that ticks once a second may fire one tick early, so T is at least two of its ticks.
- Best is a T with lapse(T) <= stop budget + interval: then whatever renews the lease in time feeds the device, too, and
  the watchdog is never the stricter of the two. Of these the longest, as it bears the longest pause of the warden.
"""

from msgspec import Struct

from standfast.model.timing import NS_PER_MS, PROFILES, Timing, lapse_ns

AIM_NS = 10 * NS_PER_MS
"""How long before the last allowed moment the last feed is aimed at: timers wake late, never early."""
NS_PER_S = 1_000_000_000
_FINE_LOWEST_S = 1
_TICKING_LOWEST_S = 2
_HIGHEST_S = 60
"""A longer time-out would bear no pause that a member should survive."""


class Timeout(Struct, frozen=True):
    """A time-out that keeps a timing.

    Attributes:
        seconds: what the device is set to.
        need_ns: what must be left of the lease when it is fed.
    """

    seconds: int
    need_ns: int


def _timeout(seconds: int) -> Timeout:
    return Timeout(seconds, lapse_ns(seconds * NS_PER_S))


def timeouts(timing: Timing, *, fine: bool) -> tuple[Timeout, ...]:
    """All time-outs that keep this timing, best first; empty when none does.

    `fine`: the device counts finer than in seconds (softdog does); else it is taken to tick once a second.
    """
    lowest = _FINE_LOWEST_S if fine else _TICKING_LOWEST_S
    able = [found for s in range(lowest, _HIGHEST_S + 1) if _keeps(found := _timeout(s), timing)]
    lenient = sum(found.need_ns <= timing.stop_ns + timing.interval_ns for found in able)
    return (*reversed(able[:lenient]), *able[lenient:])


def _keeps(timeout: Timeout, timing: Timing) -> bool:
    early_ns = timeout.need_ns - timeout.seconds * NS_PER_S + AIM_NS
    return timeout.need_ns + timing.interval_ns <= timing.term_ns and 2 * early_ns <= timing.kill_ns


def uncovered(timing: Timing) -> str:
    """Why no watchdog can keep this timing, with the numbers and what to choose instead; empty when one can."""
    if timeouts(timing, fine=True):
        return ""
    shortest = _timeout(_FINE_LOWEST_S)
    need_ms = -(-shortest.need_ns // NS_PER_MS) + timing.interval_ms
    kill_ms = -(-2 * (shortest.need_ns - NS_PER_S + AIM_NS) // NS_PER_MS)
    able = [name for name, profile in PROFILES.items() if timeouts(profile, fine=True)]
    return (
        f"a watchdog counts in whole seconds: its shortest time-out of {_FINE_LOWEST_S} s and one heartbeat need a "
        f"lease of {need_ms} ms and kill_ms = {kill_ms} at least, but the lease is {timing.term_ms} ms and kill_ms = "
        f"{timing.kill_ms}: the machine would be reset too late, or without need. "
        f'Choose a longer timing (profiles {" and ".join(able)} can be covered), or watchdog = "off".'
    )
