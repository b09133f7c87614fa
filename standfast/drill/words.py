"""The sentences and number formats that the report and the table share."""

from standfast.drill.audit import Verdict
from standfast.drill.result import DrillResult

TITLES: dict[Verdict, str] = {
    Verdict.KEPT: "Promise kept",
    Verdict.BROKEN: "Promise broken",
    Verdict.NO_PROMISE: "No promise",
    Verdict.UNPROVEN: "Not proven",
}
DASH = "–"  # noqa: RUF001 - the typographer's, not a minus


def title(result: DrillResult) -> str:
    """The verdict in two words."""
    return TITLES[result.verdict]


def explanation(result: DrillResult) -> str:
    """The verdict in a sentence or two."""
    totals = result.totals
    if result.verdict is Verdict.KEPT:
        return f"Each of {count(totals.acked)} acknowledged messages is in the queue manager at the end."
    if result.verdict is Verdict.NO_PROMISE:
        lost = "None was lost" if totals.lost == 0 else f"{count(totals.lost)} were lost"
        promise = f"Driver durability {result.durability.name}: {result.durability_note}"
        return f"{promise} {lost} of {count(totals.acked)} acknowledged."
    if result.verdict is Verdict.UNPROVEN:
        if totals.acked == 0:
            return "No message was acknowledged during the whole drill, so that nothing could be lost or kept."
        return f"The queue manager could not be read back at the end: {result.unreadable}."
    if totals.lost:
        return f"{count(totals.lost)} of {count(totals.acked)} acknowledged messages are gone."
    return "Not a lost message, but another promise:"


def count(number: int | None) -> str:
    """A count with thousands separated; a dash when it is not known."""
    return DASH if number is None else f"{number:,}"


def milliseconds(value: float | None) -> str:
    """A length in milliseconds, without the unit; a dash when it is not known."""
    return DASH if value is None else f"{value:,.0f}"


def length(value_ms: float) -> str:
    """A length with its unit, in three figures or so."""
    if value_ms < 1000:  # noqa: PLR2004 - from a second on, seconds
        return f"{value_ms:.0f} ms"
    seconds = value_ms / 1000
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004


def outage(outage_ms: float, *, ended: bool) -> str:
    """What clients lacked: a length in milliseconds, or words."""
    if not ended:
        return "not back"
    return "none" if outage_ms == 0 else milliseconds(outage_ms)
