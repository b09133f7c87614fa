"""The drill's result in the terminal, at most 100 columns wide."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from standfast.drill import words
from standfast.drill.audit import Verdict
from standfast.drill.result import DrillResult, FaultResult

COLUMNS = 100
_FAULT_COLUMNS = 30
_STYLES: dict[Verdict, str] = {
    Verdict.KEPT: "bold green",
    Verdict.BROKEN: "bold white on red",
    Verdict.NO_PROMISE: "bold yellow",
    Verdict.UNPROVEN: "bold yellow",
}
_NUMBERS = ("outage", "detect", "decide", "start", "client", "acked", "lost", "doubled")


def result_table(result: DrillResult) -> RenderableType:
    """Verdict, one row per fault (lengths in milliseconds), totals."""
    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=True, footer_style="dim")
    table.add_column("fault", "whole drill", max_width=_FAULT_COLUMNS, overflow="ellipsis", no_wrap=True)
    totals = result.totals
    footers = dict.fromkeys(_NUMBERS, "") | {
        "outage": words.milliseconds(max((one.to_ms - one.from_ms for one in result.outages), default=0.0)),
        "acked": words.count(totals.acked),
        "lost": words.count(totals.lost),
        "doubled": words.count(totals.doubled),
    }
    for name in _NUMBERS:
        table.add_column(name, footers[name], justify="right", no_wrap=True)
    for row in result.faults:
        table.add_row(row.label, *_numbers(row))
    verdict = Text.assemble((f" {words.title(result)} ", _STYLES[result.verdict]), " ", words.explanation(result))
    breaches = [Text(f"  {one}", "red") for one in result.breaches]
    return Group(
        verdict, *breaches, Text(), table, Text("Lengths in milliseconds, as a publishing client saw them.", "dim")
    )


def _numbers(row: FaultResult) -> list[Text]:
    away = Text(words.outage(row.outage_ms, ended=row.ended), "" if row.ended else "bold red")
    lengths = [Text(words.milliseconds(one)) for one in (row.detect_ms, row.decide_ms, row.start_ms, row.client_ms)]
    lost = Text(words.count(row.lost), "bold red" if row.lost else "")
    return [away, *lengths, Text(words.count(row.acked)), lost, Text(words.count(row.doubled))]
