"""docs/takeovers.svg: each takeover that was measured as a bar, from the fault to the client's next acknowledgement.

Drawn by bench/page.py from the figures of bench/takeover.py. A part is as wide as it took; what is left of a bar after
its parts is time that no part claims.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from figures import HERE
from lab_run import PIECES

FILE = HERE.parent / "docs" / "takeovers.svg"
WIDTH, LEFT, RIGHT = 900, 20, 20
BAR, STEP, TITLE, AXIS, BETWEEN, TOP = 6, 8, 22, 20, 18, 44
TICKS = 5
THINNEST = 0.1
ROUND_MS = (10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000)
COLOURS = {
    "detect": "#8a94a6",
    "decide": "#d1495b",
    "storage": "#e9a03b",
    "start": "#2f7ebc",
    "endpoint": "#3c9d6b",
    "rest": "#c9ccd3",
}
MEANS = {
    "detect": "until it was known",
    "decide": "until the owner began",
    "storage": "claim, process",
    "start": "until it answered",
    "endpoint": "until the client had it",
    "rest": "the client's own retry",
}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1d2430; }
.title { font-weight: 600; } .tick { font-size: 10px; fill: #5c6573; } .grid { stroke: #d9dde3; }
@media (prefers-color-scheme: dark) {
  .back { fill: #14181f; } text { fill: #e6e9ee; } .tick { fill: #a4acb8; } .grid { stroke: #333b47; }
}
"""


def scale_ms(longest_ms: float) -> tuple[float, float]:
    """The width of the axis and the distance of its ticks, in milliseconds."""
    tick = next((one for one in ROUND_MS if one * TICKS >= longest_ms), ROUND_MS[-1])
    return max(longest_ms, tick), tick


def bar(run: dict[str, float], y: float, per_ms: float) -> Iterator[str]:
    """One takeover."""
    x = float(LEFT)
    parts = {piece: run[piece] for piece in PIECES}
    parts["rest"] = max(0.0, run["outage"] - sum(parts.values()))
    for piece, ms in parts.items():
        width = ms * per_ms
        if width >= THINNEST:
            tip = escape(f"{piece}: {ms:.1f} ms of {run['outage']:.0f}")
            yield (
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[piece]}">'
                f"<title>{tip}</title></rect>"
            )
        x += width


def panel(one: dict[str, Any], top: float) -> tuple[list[str], float]:
    """All takeovers of one act on one profile; the panel and where it ends."""
    runs = sorted(one["runs"], key=lambda run: run["outage"])
    axis_ms, tick_ms = scale_ms(max(max(run["outage"], sum(run[p] for p in PIECES)) for run in runs))
    per_ms = (WIDTH - LEFT - RIGHT) / axis_ms
    title = f"{one['profile']}, lease {one['term_ms']} ms: {one['act']}; median {one['outage']['median']:.0f} ms"
    lines = [f'<text class="title" x="{LEFT}" y="{top + 14}">{escape(title)}</text>']
    first, end = top + TITLE, top + TITLE + STEP * len(runs)
    for number in range(int(axis_ms / tick_ms) + 1):
        x = LEFT + number * tick_ms * per_ms
        lines.append(f'<line class="grid" x1="{x:.1f}" y1="{first}" x2="{x:.1f}" y2="{end}"/>')
        lines.append(f'<text class="tick" x="{x:.1f}" y="{end + 12}">{number * tick_ms:g} ms</text>')
    for number, run in enumerate(runs):
        lines += bar(run, first + STEP * number, per_ms)
    return lines, end + AXIS + BETWEEN


def legend() -> Iterator[str]:
    x = LEFT
    for piece, means in MEANS.items():
        yield f'<rect x="{x}" y="14" width="10" height="10" fill="{COLOURS[piece]}"/>'
        yield f'<text class="tick" x="{x + 14}" y="23">{piece}: {means}</text>'
        x += 22 + round(5.4 * len(f"{piece}: {means}"))


def draw(figures: list[dict[str, Any]], file: Path = FILE) -> None:
    """Write the picture."""
    top = float(TOP)
    body = list(legend())
    for one in figures:
        if one.get("runs"):
            lines, top = panel(one, top)
            body += lines
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" role="img">\n'
        f"<title>Takeovers, piece by piece</title>\n<style>{STYLE}</style>\n"
        f'<rect class="back" width="{WIDTH}" height="{top:.0f}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n",
        encoding="utf-8",
    )
