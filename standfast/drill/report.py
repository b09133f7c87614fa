"""The drill's result as one HTML page: nothing from elsewhere, no script; readable on a phone and on paper."""

from collections.abc import Iterable
from html import escape
from importlib import resources

from standfast.drill import words
from standfast.drill.plot import timeline
from standfast.drill.result import DrillResult, FaultResult

_SPLIT = {
    "detect": "until the cluster knew",
    "decide": "until a member was told to start",
    "start": "until the queue manager answered",
    "client": "until clients had it back",
}
_MEANING = (
    "An outage runs from the first message that a publishing client could not get acknowledged to the next "
    "acknowledgement; a number with + adds shorter ones until the next fault. Lost: acknowledged, but not in the "
    "queue manager at the end. Doubled: stored more than once, because the answer to the first attempt never arrived; "
    "at-least-once delivery allows that."
)


def html_report(result: DrillResult) -> str:
    """The page."""
    name = escape(f"{words.title(result)}: drill on {result.queue_manager}")
    style = resources.files("standfast.drill").joinpath("report.css").read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>\n{style}</style></head>",
        f'<body class="{result.verdict.value}">',
        _header(result),
        _figures(result),
        f'<h2>What clients got</h2><div class="wide plot">{timeline(result)}</div>',
        f'<h2>Faults</h2><div class="wide">{_table(result.faults)}</div>{_key(result.faults)}',
        f"<h2>Circumstances</h2>{_facts(result)}",
        f"<footer><p>{escape(_MEANING)}</p><p>{escape(_promise(result))}</p></footer>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _header(result: DrillResult) -> str:
    where = f"Drill {result.run} on {result.queue_manager} ({result.kind}), cluster {result.cluster}, {result.began_at}"
    breaches = "".join(f"<li>{escape(one)}</li>" for one in result.breaches)
    return (
        f"<header><p>{escape(where)}</p><h1>{escape(words.title(result))}</h1>"
        f'<p class="said">{escape(words.explanation(result))}</p>'
        + (f'<ul class="breaches">{breaches}</ul>' if breaches else "")
        + "</header>"
    )


def _figures(result: DrillResult) -> str:
    totals = result.totals
    longest = max((one.to_ms - one.from_ms for one in result.outages), default=0.0)
    figures = [
        ("longest outage", words.length(longest) if longest else "none", False),
        ("acknowledged", words.count(totals.acked), False),
        ("lost", words.count(totals.lost if totals.stored is not None else None), totals.lost > 0),
        ("doubled", words.count(totals.doubled if totals.stored is not None else None), False),
        ("consumed", words.count(totals.consumed), False),
        ("median acknowledgement", f"{result.latency.median_ms:.1f} ms" if result.latency else words.DASH, False),
    ]
    cells = (
        f"<div><dt>{name}</dt><dd{' class=alarm' if alarm else ''}>{escape(value)}</dd></div>"
        for name, value, alarm in figures
    )
    return f'<dl class="figures">{"".join(cells)}</dl>'


def _table(faults: Iterable[FaultResult]) -> str:
    heads = ("at", "outage ms", "", *_SPLIT, "acked", "lost", "doubled")
    head = '<th>#</th><th class="name">fault</th>' + "".join(f"<th>{one}</th>" for one in heads)
    rows = "".join(_row(number, fault) for number, fault in enumerate(faults, start=1))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(number: int, fault: FaultResult) -> str:
    detail = f"<small>{escape(fault.detail)}</small>" if fault.detail else ""
    away = "alarm" if not fault.ended else ("main" if fault.outage_ms else "zero")
    hiccups = f"<small>+ {words.milliseconds(fault.hiccups_ms)}</small>" if fault.hiccups_ms else ""
    cells = [
        f'<td class="zero">{number}</td><td class="name">{escape(fault.label)}{detail}</td>',
        f'<td class="zero">{fault.at_ms / 1000:.1f} s</td>',
        f'<td class="{away}">{words.outage(fault.outage_ms, ended=fault.ended)}{hiccups}</td>',
        f"<td>{_bar(fault)}</td>",
        *(f"<td>{words.milliseconds(value)}</td>" for value in _lengths(fault)),
        f"<td>{words.count(fault.acked)}</td>",
        f'<td class="{"alarm" if fault.lost else "zero"}">{words.count(fault.lost)}</td>',
        f'<td class="zero">{words.count(fault.doubled)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _lengths(fault: FaultResult) -> tuple[float | None, ...]:
    return (fault.detect_ms, fault.decide_ms, fault.start_ms, fault.client_ms)


def _bar(fault: FaultResult) -> str:
    """The split of an outage to scale; nothing when it is not known in full."""
    known = [value for value in _lengths(fault) if value is not None]
    if len(known) < len(_SPLIT) or sum(known) == 0:
        return ""
    parts = (f'<i class="s{number}" style="width:{value / sum(known):.1%}"></i>' for number, value in enumerate(known))
    return f'<div class="split">{"".join(parts)}</div>'


def _key(faults: Iterable[FaultResult]) -> str:
    if not any(_bar(fault) for fault in faults):
        return ""
    marks = (
        f'<span><i class="s{number}"></i>{name}: {until}</span>' for number, (name, until) in enumerate(_SPLIT.items())
    )
    return f'<p class="key">Lengths in milliseconds.{" ".join(marks)}</p>'


def _facts(result: DrillResult) -> str:
    totals, late = result.totals, result.latency
    facts = {
        "length of the drill": words.length(result.length_ms),
        "messages made": words.count(totals.created),
        "sends, retries included": words.count(totals.attempts),
        "stored at the end": words.count(totals.stored),
        "producer connections": words.count(totals.connections),
        "acknowledgement, 99th percentile": f"{late.p99_ms:,.1f} ms" if late else words.DASH,
        "acknowledgement, longest": f"{late.max_ms:,.1f} ms" if late else words.DASH,
        **{name: str(value) for name, value in result.environment.items()},
    }
    cells = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _promise(result: DrillResult) -> str:
    return f"The driver's promise ({result.durability.value}): {result.durability_note}"
