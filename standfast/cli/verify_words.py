"""What `standfast verify storage` found, in words: tables, so that a test can walk all of them."""

from collections.abc import Callable, Mapping
from typing import Any

from standfast.cli.words import Level
from standfast.storage.mounts import FAULTS, MountFault
from standfast.storage.verify import Finding, State, Step, Verdict

Values = Mapping[str, Any]

STATES: dict[State, tuple[str, Level]] = {
    State.FINE: ("fine", Level.OK),
    State.REMARK: ("remark", Level.WARNING),
    State.FAILED: ("FAILED", Level.PROBLEM),
    State.HUNG: ("HUNG", Level.PROBLEM),
    State.SKIPPED: ("skipped", Level.NOTE),
}
VERDICTS: dict[Verdict, str] = {
    Verdict.FIT: "It can be shared.",
    Verdict.FIT_WITH_REMARKS: "It can be shared; see the remarks.",
    Verdict.UNFIT: "It can NOT be shared as it is.",
}
ONE_MACHINE = "Two processes of one machine can share it. Whether two machines can was not tried: --with MEMBER."

CODES: dict[str, str] = {
    **{str(fault): f"{grave.meaning} {grave.action}" for fault, grave in FAULTS.items()},
    "ofd": "Two held the same lock (open file description), or it was not given back: Standfast's own.",
    "posix": "Two held the same lock (POSIX), or it was not given back: that of IBM MQ and most others.",
    "flock": "Two held the same lock (flock), or it was not given back.",
    "slow": "Synced writes are slow, and so is every acknowledgement of a message.",
    "apart": "The clocks differ by more than a second: times in logs mislead. Standfast itself compares no clocks.",
    "not_seen": "A replaced file was not seen from the other machine at all.",
    "seen_late": "A replaced file was seen late: this machine caches for long. Leave out options for cache times.",
    "never": "The lock of the dead machine was not given to anybody.",
    "given_away": "The lock was given away while its holder lived.",
}


def _place(v: Values) -> str:
    version = f", NFS {v['version']}" if v.get("version") else ""
    return (
        f"{v.get('source', 'nothing')} ({v.get('kind', 'no mount')}{version}), {v['free_bytes'] / 2**30:.1f} GiB free"
    )


_MEASURED: dict[Step, Callable[[Values, str], str]] = {
    Step.PLACE: lambda v, _: _place(v),
    Step.SHARED: lambda v, other: (
        f"{other} sees it, on machine {v['there_host']}" + ("" if v["machines"] > 1 else ", which is this one")
    ),
    Step.INTEGRITY: lambda v, other: (
        f"of {v['blocks']} blocks {v['there_bad']} were wrong as {other} read them, {v['bad']} after both wrote"
    ),
    Step.COUNTING: lambda v, _: f"both added under the lock, {v['counted']} of {v['expected']} additions are there",
    Step.EXCLUSION: lambda *_: "a lock of one is refused to the other, both ways, for all three kinds of lock",
    Step.RELEASE: lambda v, _: f"the lock of a killed process was free after {v['released_s'] * 1000:.0f} ms",
    Step.LATENCY: lambda v, other: (
        f"synced write of 4 KiB: median {v['p50_ms']:.2f} ms, 99 % {v['p99_ms']:.2f} ms, slowest {v['max_ms']:.1f} ms; "
        f"from {other} {v['there_p50_ms']:.2f}, {v['there_p99_ms']:.2f}, {v['there_max_ms']:.1f} ms"
    ),
    Step.CLOCK: lambda v, other: (
        f"the server's is {v['ahead_ms']:+.0f} ms ahead of this machine's, {v['there_ahead_ms']:+.0f} ms of {other}'s"
    ),
    Step.HANDLES: lambda v, _: (
        f"a replaced file was seen after {v['seen_s'] * 1000:.0f} ms; an open handle said: {v['kept_handle']}"
    ),
    Step.POWER_CUT: lambda v, _: f"the lock of the dead machine was free {v['released_s']:.1f} s after its last word",
}
_SKIPPED: dict[Step, str] = {Step.POWER_CUT: "--power-cut measures how long a lock outlives its machine"}


def sentence(finding: Finding, other: str) -> str:
    """One finding in words; `other`: who the other side is."""
    if finding.state is State.SKIPPED:
        return _SKIPPED.get(finding.step, "the steps before it must work first")
    if finding.state is State.HUNG:
        return f"{finding.detail}. Other work on this storage hangs in the same way."
    reasons = [CODES.get(code, finding.detail) for code in finding.codes]
    try:
        measured = _MEASURED[finding.step](finding.values, other)
    except (KeyError, TypeError):  # it failed before there was anything to measure
        measured = finding.detail if not reasons else ""
    return ". ".join(part.rstrip(".") for part in (measured, *reasons) if part) + "."


__all__ = ["CODES", "STATES", "VERDICTS", "MountFault", "sentence"]
