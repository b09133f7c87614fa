"""What can be wrong with a cluster file, and where: the place by path and by line.

tomllib keeps no line numbers, so they are found by a second, simple look at the text. They serve messages only: a
key in an inline table or in a multi-line string may get the line of its table. Values always come from tomllib.
"""

import re
from enum import StrEnum
from typing import Any

from msgspec import Struct

Path = tuple[str | int, ...]
"""Keys from the top of the file; a number counts the entries of an array of tables, from 0."""

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\" ]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+|\"[^\"]*\")\s*(\.|=)")


class Fault(StrEnum):
    """Kinds of problems and warnings."""

    NOT_TEXT = "not_text"  # not UTF-8
    NOT_TOML = "not_toml"  # a slip in the syntax, or cut short in the middle of something
    EMPTY = "empty"
    UNKNOWN_KEY = "unknown_key"
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    BAD_VALUE = "bad_value"
    BAD_NAME = "bad_name"
    DUPLICATE = "duplicate"  # a name, a socket, a port or a path that something else has already
    MEMBER_COUNT = "member_count"  # even, or fewer than three
    NO_DATA_MEMBER = "no_data_member"
    NOT_A_DATA_MEMBER = "not_a_data_member"  # preferred names something that can not run a queue manager
    TIMING = "timing"
    CONTRADICTION = "contradiction"  # groups of queue managers that can not all be held
    WATCHDOG = "watchdog"  # no watchdog can keep the timing, or there is nothing to watch
    # warnings: legal, but worth a look
    ONE_DATA_MEMBER = "one_data_member"
    MANY_MEMBERS = "many_members"
    LONELY_GROUP = "lonely_group"  # a group of one queue manager
    LONELY_DISK = "lonely_disk"  # fewer than two members see the shared disk
    NO_LAST_NEWLINE = "no_last_newline"  # the file may have been cut short


class Problem(Struct, frozen=True):
    """One thing that is wrong: `str()` gives the place and the sentence.

    Attributes:
        fault: its kind.
        path: where, as keys from the top.
        sentence: what is wrong and what to do.
        line: in the file, from 1; None when it has none.
        place: the path as people say it, such as `member 2 (b), addresses`.
    """

    fault: Fault
    path: Path
    sentence: str
    line: int | None = None
    place: str = ""

    def __str__(self) -> str:
        """Place and sentence in one line."""
        where = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.place) if part)
        return f"{where}: {self.sentence}" if where else self.sentence


class Places:
    """Lines and spoken names of the places in one file."""

    def __init__(self, text: str, document: dict[str, Any]) -> None:
        self._lines = _lines_of(text)
        self._document = document

    def located(self, problem: Problem) -> Problem:
        """The problem with its line and its place."""
        return Problem(
            problem.fault, problem.path, problem.sentence, self._line(problem.path), self._spoken(problem.path)
        )

    def _line(self, path: Path) -> int | None:
        """The line of that place or, when it has none (a missing key), of the table around it."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    def _spoken(self, path: Path) -> str:
        """Such as `member 2 (b), addresses`; people count from 1."""
        words: list[str] = []
        node: Any = self._document
        for key in path:
            node = _child(node, key)
            if not isinstance(key, int):
                words.append(key.replace("_", " ") if isinstance(node, list | dict) else key)
                continue
            name = node.get("name") if isinstance(node, dict) else None
            words[-1] += f" {key + 1} ({name})" if isinstance(name, str) else f" {key + 1}"
        return ", ".join(words)


def _child(node: Any, key: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(str(key))
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        return node[key]
    return None


def _lines_of(text: str) -> dict[Path, int]:
    """Line numbers, from 1, of every table header and key of the text."""
    lines: dict[Path, int] = {}
    counts: dict[tuple[str, ...], int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            keys = tuple(part.strip().strip('"') for part in header[2].split("."))
            if header[1] == "[[":
                counts[keys] = counts.get(keys, -1) + 1
            table = _numbered(keys, counts)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, key[1].strip('"')), number)
    return lines


def _numbered(keys: tuple[str, ...], counts: dict[tuple[str, ...], int]) -> Path:
    """The keys, with the number of the current entry after each array of tables."""
    path: list[str | int] = []
    for end, key in enumerate(keys, start=1):
        path.append(key)
        if keys[:end] in counts:
            path.append(counts[keys[:end]])
    return tuple(path)
