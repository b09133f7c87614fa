"""The report is one file that needs nothing else and shows every fault, owner and outage; the table fits."""

import io
import re
from html.parser import HTMLParser
from itertools import pairwise

from msgspec import structs
from rich.console import Console

from standfast.drill.outage import Fault
from standfast.drill.report import html_report
from standfast.drill.result import DrillResult
from standfast.drill.summary import summarise
from standfast.drill.table import COLUMNS, result_table
from standfast.drill.words import TITLES
from standfast.ports import Durability
from tests.drill.example import AWAY, FAULTS, OWNERS, at, circumstances, load

VOID = {"meta", "circle", "rect", "line", "path", "polyline"}


class Page(HTMLParser):
    """Counts elements by class, and demands that each is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.classes: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.classes += (dict(attrs).get("class") or "").split()
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "xlink:href"}]
        if tag not in VOID or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.classes += (dict(attrs).get("class") or "").split()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def result(**changes: object) -> DrillResult:
    return summarise(load(80_000, AWAY), circumstances(**changes))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = html_report(result())
    page = Page(text)
    assert page.links == []
    assert not re.search(r"https?://|@import|url\(|<script", text)


def test_the_plot_shows_every_fault_every_outage_and_every_owner() -> None:
    page = Page(html_report(result()))
    assert page.classes.count("dot") == page.classes.count("fault") == len(FAULTS)
    assert page.classes.count("outage") == len(AWAY)
    assert page.classes.count("owner") == len(OWNERS)
    assert page.classes.count("member") == 3


def test_the_verdict_is_at_the_top_whatever_it_is() -> None:
    record = load(1000, [])
    lost = structs.replace(record, stored=[])
    unread = structs.replace(record, stored=None, unreadable="gone")
    kinds = [
        summarise(record, circumstances(faults=())),
        summarise(lost, circumstances(faults=())),
        summarise(lost, circumstances(faults=(), durability=Durability.NONE)),
        summarise(unread, circumstances(faults=())),
        summarise(load(0, []), circumstances(faults=(), owners=())),
    ]
    assert {one.verdict for one in kinds} == set(TITLES)
    for one in kinds:
        page = Page(html_report(one))
        assert one.verdict.value in page.classes
        assert TITLES[one.verdict] in page.texts


def test_what_users_named_can_not_break_the_page() -> None:
    evil = "<b>\"&'</b><script>alert(1)</script>"
    got = result(
        cluster=evil,
        breaches=(evil,),
        environment={evil: evil},
        members=(evil,),
        faults=(Fault(label=evil, detail=evil, at_ns=at(100)),),
    )
    text = html_report(got)
    Page(text)
    assert "<script" not in text


def test_labels_of_faults_that_come_close_together_do_not_overlap() -> None:
    many = tuple(Fault(label=f"fault number {n}", at_ns=at(70_000 + n * 300)) for n in range(9))
    text = html_report(result(faults=many))
    places = {tuple(map(float, one)) for one in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)}
    rows: dict[float, list[float]] = {}
    for x, y in places:
        rows.setdefault(y, []).append(x)
    for row in rows.values():
        row.sort()
        assert all(b - a > 60 for a, b in pairwise(row))


def test_the_table_fits_the_terminal_and_has_a_line_for_each_fault() -> None:
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    long = tuple(structs.replace(one, label=one.label + " and a good deal more to say about it") for one in FAULTS)
    console.print(result_table(result(faults=long)))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert sum("…" in line for line in lines) == len(FAULTS)
