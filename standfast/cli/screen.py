"""Tables and lines on a terminal: aligned, names never cut or wrapped, readable without colour."""

import datetime as dt
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.text import Text

from standfast.cli.words import MS_PER_S, STYLES, Level

MAX_WIDTH = 100
"""Longer lines are hard to read, however wide the terminal."""
_GAP = 2
_LEAST_NOTE = 16
"""A note with less room than this moves to a line of its own."""
_INDENT = 4


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: its heading.
        right: flush right.
        note: free text, wrapped; only the last column.
        spare: left out when the terminal is too narrow, the largest number first; 0 never.
    """

    title: str
    right: bool = False
    note: bool = False
    spare: int = 0


Cell = str | Text


class _Console(Console):
    """Leaves a broken pipe to `main`, which knows the exit code for it."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """For standard output, at most MAX_WIDTH wide."""
    out = whole_console()
    out.width = min(out.width, MAX_WIDTH)
    return out


def whole_console() -> Console:
    """The same as wide as the terminal is, also when that changes."""
    return _Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def show(*lines: Cell) -> None:
    """Print lines that were made to fit; what is longer than the terminal all the same is left to it to wrap."""
    if lines:
        whole = Text("\n").join(Text(line) if isinstance(line, str) else line for line in lines)
        console().print(whole, soft_wrap=True)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], width: int) -> list[Text]:
    """The lines of a table at most `width` wide, unless names need more. Empty columns are left out."""
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    kept = [i for i in range(len(columns)) if any(row[i].cell_len for row in cells)]
    widths = {i: max(len(columns[i].title), *(row[i].cell_len for row in cells)) for i in kept if not columns[i].note}
    while sum(widths.values()) + _GAP * (len(widths) - 1) > width:
        spare = max(widths, key=lambda i: columns[i].spare)
        if not columns[spare].spare:
            break
        del widths[spare]
    used = sum(widths.values()) + _GAP * len(widths)
    note = next((i for i in kept if columns[i].note), None)
    beside = note is not None and width - used >= _LEAST_NOTE
    head = _padded([(Text(columns[i].title), widths[i], columns[i].right) for i in widths])
    head = Text.assemble(head, columns[note].title) if note is not None and beside else head
    head.stylize("dim")
    lines = [head]
    for row in cells:
        line = _padded([(row[i], widths[i], columns[i].right) for i in widths])
        wrapped = _wrapped(row[note].plain, width - (used if beside else _INDENT)) if note is not None else []
        if beside and wrapped:
            line.append(wrapped.pop(0))
        lines.append(line)
        lines += [Text(" " * (used if beside else _INDENT) + rest) for rest in wrapped]
    for line in lines:
        line.rstrip()
    return lines


def _padded(cells: list[tuple[Text, int, bool]]) -> Text:
    """Cells side by side, with a gap after each."""
    line = Text()
    for cell, size, right in cells:
        blank = " " * (size - cell.cell_len)
        line = Text.assemble(line, *((blank, cell) if right else (cell, blank)), " " * _GAP)
    return line


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def hanging(word: str, sentence: str, width: int, style: str = "") -> list[Text]:
    """A word and a sentence, whose further lines stand below its first."""
    indent = " " * (len(word) + _GAP)
    lines = [Text(line) for line in _wrapped(word + " " * _GAP + sentence, width, indent)]
    lines[0].stylize(style, 0, len(word))
    return lines


def styled(word: str, level: Level) -> Text:
    """A word in the colour of its level."""
    return Text(word, style=STYLES[level])


def as_json(value: Any) -> None:
    """Print one JSON document, indented; keys as in the Structs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def json_line(value: Any) -> None:
    """Print one JSON object on one line, at once: for streams."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def moment(unix_ms: int) -> str:
    """Local time to the millisecond, such as `2026-11-22 15:40:01.123`."""
    at = dt.datetime.fromtimestamp(unix_ms // MS_PER_S, tz=dt.UTC).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{unix_ms % MS_PER_S:03}"
