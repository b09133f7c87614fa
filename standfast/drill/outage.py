"""How long the service was away, as its clients saw it, and which fault was to blame. Pure.

An outage begins when a client first wanted something and did not get it, and ends with the first new acknowledgement.
In numbers: between two acknowledgements at `a` and `b` nothing was acknowledged; the first message that waited for `b`
was made at `c`; the outage is from the later of `a` and `c` until `b`. So a load that pauses by itself makes no outage,
and one message that had bad luck beside others that passed makes none either.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from standfast.drill.record import Sent


class Outage(Struct, frozen=True):
    """A time without service.

    Attributes:
        from_ns: its begin.
        to_ns: its end; the end of the load when `ended` is False.
        ended: whether the service came back.
    """

    from_ns: int
    to_ns: int
    ended: bool = True

    @property
    def length_ns(self) -> int:
        """How long it was."""
        return self.to_ns - self.from_ns


class Fault(Struct, frozen=True, kw_only=True):
    """Something that the drill did, with the moments of the cluster's answer as far as they are known.

    Attributes:
        label: a few words, for the table and the plot.
        detail: a sentence, for the report.
        at_ns: when it was done.
        detected_ns: when the cluster knew: the member was evicted, or the queue manager was seen to be gone.
        decided_ns: when the next owner was told to start it.
        running_ns: when the queue manager answered its owner.
    """

    label: str
    at_ns: int
    detail: str = ""
    detected_ns: int | None = None
    decided_ns: int | None = None
    running_ns: int | None = None


class Impact(Struct, frozen=True, kw_only=True):
    """What a fault did to clients; all lengths in nanoseconds, None for what is not known or did not happen.

    Attributes:
        outages: those to blame on it, oldest first.
        longest_ns: the longest of them, counted from the fault at the earliest: what is meant by "the" outage.
        hiccups_ns: the others together, such as stalls of a busy machine on the way back.
        ended: whether the service was back at the end of all of them.
        detect_ns: from the fault until it was detected.
        decide_ns: from there until the next owner was told to start.
        start_ns: from there until the queue manager answered its owner.
        client_ns: from there until clients had it back through the endpoint.
    """

    outages: tuple[Outage, ...] = ()
    longest_ns: int = 0
    hiccups_ns: int = 0
    ended: bool = True
    detect_ns: int | None = None
    decide_ns: int | None = None
    start_ns: int | None = None
    client_ns: int | None = None


def outages(messages: Iterable[Sent], began_ns: int, ended_ns: int, shortest_ns: int) -> list[Outage]:
    """Every outage of a run that lasted `shortest_ns` or more, oldest first.

    `shortest_ns` should be a few rhythms of the load: anything shorter it can not tell from chance.
    """
    known = list(messages)
    acked = sorted((sent for sent in known if sent.acked_ns), key=lambda sent: sent.acked_ns)
    unacked = [sent.created_ns for sent in known if not sent.acked_ns]
    found: list[Outage] = []
    waiting_ns = min(unacked, default=ended_ns)
    if unacked:
        last_ns = acked[-1].acked_ns if acked else began_ns
        found.append(Outage(max(last_ns, waiting_ns), ended_ns, ended=False))
    for position in range(len(acked) - 1, -1, -1):
        sent = acked[position]
        waiting_ns = min(waiting_ns, sent.created_ns)
        before_ns = acked[position - 1].acked_ns if position else began_ns
        found.append(Outage(max(before_ns, waiting_ns), sent.acked_ns))
    return [one for one in reversed(found) if one.length_ns >= shortest_ns]


def impacts(faults: Sequence[Fault], all_outages: Sequence[Outage]) -> list[Impact]:
    """What each fault did; faults in the order of their times.

    An outage is blamed on the last fault before it began. A fault in the middle of an outage (a machine comes back
    while the service is away) is answered by the rest of it, from the fault on.
    """
    found: list[Impact] = []
    for number, fault in enumerate(faults):
        next_ns = faults[number + 1].at_ns if number + 1 < len(faults) else None
        blamed = tuple(
            Outage(max(one.from_ns, fault.at_ns), one.to_ns, one.ended)
            for one in all_outages
            if one.to_ns > fault.at_ns and (next_ns is None or one.from_ns < next_ns)
        )
        found.append(_impact(fault, blamed))
    return found


def _impact(fault: Fault, blamed: tuple[Outage, ...]) -> Impact:
    longest_ns = max((one.length_ns for one in blamed), default=0)
    return Impact(
        outages=blamed,
        longest_ns=longest_ns,
        hiccups_ns=sum(one.length_ns for one in blamed) - longest_ns,
        ended=all(one.ended for one in blamed),
        detect_ns=_between(fault.at_ns, fault.detected_ns),
        decide_ns=_between(fault.detected_ns, fault.decided_ns),
        start_ns=_between(fault.decided_ns, fault.running_ns),
        client_ns=_until_served(fault.running_ns, blamed),
    )


def _until_served(running_ns: int | None, blamed: tuple[Outage, ...]) -> int | None:
    """From the queue manager's answer to its owner to the first one to a client; later hiccups do not count.

    Nothing when clients had it back before the owner noted that it answers.
    """
    if running_ns is None or not blamed:
        return None
    under_way = [one for one in blamed if one.from_ns <= running_ns <= one.to_ns]
    if not under_way:
        return 0
    return under_way[0].to_ns - running_ns if under_way[0].ended else None


def _between(first_ns: int | None, then_ns: int | None) -> int | None:
    """Never negative: the marks come from several processes, each of which notes its own a moment later."""
    if first_ns is None or then_ns is None:
        return None
    return max(0, then_ns - first_ns)
