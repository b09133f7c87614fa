"""The timeline of a drill as inline SVG: what clients got, when faults were done, who owned the queue manager.

Plain shapes with class names; the report's style sheet gives them their colours, for light and dark.
"""

import statistics
from collections.abc import Sequence
from html import escape

from msgspec import Struct

from standfast.drill import words
from standfast.drill.result import DrillResult, FaultResult, Span

WIDTH = 1080
_LEFT, _RIGHT = 84, 14
_LABEL_ROW, _CHARACTER = 21, 6.3
_RATE_HEIGHT, _BAND, _GAP, _AXIS = 190, 24, 18, 30
_TICKS = 9
_LEVELS = 4
_HEADROOM = 1.15
_BURST = 2.0
"""What waited during an outage comes at once after it; more than this times the usual rate is cut off."""
_NARROWEST = 2.0
_COLOURS = 5
_ROOM_FOR_LENGTH = 46


class _Frame(Struct, frozen=True):
    """From times to places."""

    length_ms: float
    top: float

    def x(self, at_ms: float) -> float:
        """Horizontal place of a time."""
        inside = min(max(at_ms, 0.0), self.length_ms)
        return round(_LEFT + inside / self.length_ms * (WIDTH - _LEFT - _RIGHT), 1)

    @property
    def bottom(self) -> float:
        """Where the rate is zero."""
        return self.top + _RATE_HEIGHT


def timeline(result: DrillResult) -> str:
    """The whole plot; an empty string for a drill without length."""
    if result.length_ms <= 0:
        return ""
    rows = _label_rows(result.faults, _Frame(result.length_ms, 0))
    frame = _Frame(result.length_ms, (max(rows, default=-1) + 1) * _LABEL_ROW + 10)
    members = _bands(result)
    height = frame.bottom + _GAP + len(members) * _BAND + _AXIS
    floor = height - _AXIS
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="Timeline of the drill">',
        *_outages(result.outages, frame, floor),
        *_levels(result, frame),
        *_rate(result, frame),
        *_owners(result, members, frame),
        *_axis(frame, floor),
        *_faults(result.faults, rows, frame, floor),
        *_lengths(result.outages, frame),
        "</svg>",
    ]
    return "\n".join(parts)


def _bands(result: DrillResult) -> list[str]:
    return list(dict.fromkeys([*result.members, *(span.label for span in result.owners)]))


def _text(x: float, y: float, kind: str, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _box(corner: tuple[float, float], size: tuple[float, float], kind: str, tip: str) -> str:
    (x, y), (width, height) = corner, size
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}">'
        f"<title>{escape(tip)}</title></rect>"
    )


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{kind}"/>'


def _outages(spans: Sequence[Span], frame: _Frame, floor: float) -> list[str]:
    parts: list[str] = []
    for span in spans:
        left = frame.x(span.from_ms)
        width = max(_NARROWEST, frame.x(span.to_ms) - left)
        tip = f"away for {words.length(span.to_ms - span.from_ms)}"
        parts.append(_box((left, frame.top), (width, floor - frame.top), "outage", tip))
    return parts


def _lengths(spans: Sequence[Span], frame: _Frame) -> list[str]:
    """How long an outage was, written into those with room for it."""
    parts: list[str] = []
    for span in spans:
        left, right = frame.x(span.from_ms), frame.x(span.to_ms)
        if right - left >= _ROOM_FOR_LENGTH:
            length = words.length(span.to_ms - span.from_ms)
            parts.append(_text((left + right) / 2, frame.bottom - 8, "away", length, "middle"))
    return parts


def _ceiling(result: DrillResult) -> float:
    """The rate at the plot's top, per step."""
    busy = [one for one in result.rates if one]
    if not busy:
        return 1.0
    return min(max(busy), _BURST * statistics.median(busy)) * _HEADROOM


def _levels(result: DrillResult, frame: _Frame) -> list[str]:
    """Grid lines at round rates, labelled in messages per second."""
    per_s = 1000 / result.rate_ms
    ceiling = _ceiling(result) * per_s
    step = _round_step(ceiling / _LEVELS)
    parts = [_text(_LEFT - 10, frame.top + 4, "unit", "msg/s", "end")]
    level = 0.0
    while level < ceiling * 0.95:
        y = frame.bottom - level / ceiling * _RATE_HEIGHT
        parts.append(_line(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        parts.append(_text(_LEFT - 10, y + 4, "tick", f"{level:,.0f}", "end"))
        level += step
    return parts


def _rate(result: DrillResult, frame: _Frame) -> list[str]:
    """The acknowledged messages as an area; each step is flat, so that a gap has upright walls."""
    ceiling = _ceiling(result)
    points: list[str] = []
    for number, count in enumerate(result.rates):
        y = frame.bottom - min(count, ceiling) / ceiling * _RATE_HEIGHT
        points.append(f"{frame.x(number * result.rate_ms)},{y:.1f}")
        points.append(f"{frame.x((number + 1) * result.rate_ms)},{y:.1f}")
    if not points:
        return []
    end = frame.x(len(result.rates) * result.rate_ms)
    floor = f"{frame.bottom:.1f}"
    return [
        f'<path class="area" d="M{_LEFT},{floor} L{" ".join(points)} L{end},{floor} Z"/>',
        f'<polyline class="rate" points="{" ".join(points)}"/>',
    ]


def _owners(result: DrillResult, members: list[str], frame: _Frame) -> list[str]:
    top = frame.bottom + _GAP
    parts: list[str] = []
    for number, member in enumerate(members):
        y = top + number * _BAND
        parts.append(_line(_LEFT, y + _BAND / 2, WIDTH - _RIGHT, y + _BAND / 2, "idle"))
        parts.append(_text(_LEFT - 10, y + _BAND / 2 + 4, "member", member, "end"))
    for span in result.owners:
        y = top + members.index(span.label) * _BAND + 5
        left = frame.x(span.from_ms)
        width = max(_NARROWEST, frame.x(span.to_ms) - left)
        tip = f"{span.label} owned {result.queue_manager} for {words.length(span.to_ms - span.from_ms)}"
        parts.append(_box((left, y), (width, _BAND - 10), f"owner owner{members.index(span.label) % _COLOURS}", tip))
    return parts


def _axis(frame: _Frame, floor: float) -> list[str]:
    step_ms = max(1.0, _round_step(frame.length_ms / _TICKS))
    parts = [_line(_LEFT, floor, WIDTH - _RIGHT, floor, "axis")]
    at_ms = 0.0
    while at_ms <= frame.length_ms:
        x = frame.x(at_ms)
        parts.append(_line(x, floor, x, floor + 5, "axis"))
        parts.append(_text(x, floor + 20, "tick", f"{at_ms / 1000:g} s", "middle"))
        at_ms += step_ms
    return parts


def _faults(faults: Sequence[FaultResult], rows: list[int], frame: _Frame, floor: float) -> list[str]:
    """All lines first: a label covers the lines of later faults."""
    lines = [
        _line(frame.x(fault.at_ms), row * _LABEL_ROW + 11, frame.x(fault.at_ms), floor, "fault")
        for fault, row in zip(faults, rows, strict=True)
    ]
    labels: list[str] = []
    for number, (fault, row) in enumerate(zip(faults, rows, strict=True), start=1):
        x, y = frame.x(fault.at_ms), row * _LABEL_ROW + 11
        flip = x + _label_width(fault) > WIDTH
        labels += [
            f'<g><title>{escape(fault.detail or fault.label)}</title><circle cx="{x}" cy="{y}" r="9" class="dot"/>',
            _text(x, y + 3.7, "number", str(number), "middle"),
            _text(x - 14 if flip else x + 14, y + 4, "label", fault.label, "end" if flip else "start"),
            "</g>",
        ]
    return lines + labels


def _label_width(fault: FaultResult) -> float:
    return 20 + len(fault.label) * _CHARACTER


def _label_rows(faults: Sequence[FaultResult], frame: _Frame) -> list[int]:
    """For each fault the first row in which its label touches neither another one nor a later fault's line's dot."""
    ends: list[list[tuple[float, float]]] = []
    rows: list[int] = []
    for fault in faults:
        x, width = frame.x(fault.at_ms), _label_width(fault)
        left, right = (x - width, x + 10) if x + width > WIDTH else (x - 10, x + width)
        row = next(
            (number for number, taken in enumerate(ends) if all(right < a or left > b for a, b in taken)), len(ends)
        )
        if row == len(ends):
            ends.append([])
        ends[row].append((left, right))
        rows.append(row)
    return rows


def _round_step(rough: float) -> float:
    """The smallest of 1, 2, 5, 10, ... times a power of ten that is not below `rough`."""
    power = 1.0
    while power * 10 <= rough:
        power *= 10
    while power > rough:
        power /= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
