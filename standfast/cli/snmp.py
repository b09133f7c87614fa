"""`standfast snmp`: answers net-snmp's snmpd, which asks a program for a part of its tree (`pass_persist`).

Snmpd keeps the port, the users, the versions and their encryption, as on every other machine of a site; this program
has no privileges, reads the status over the control socket, and can change nothing. The exchange is in
snmpd.conf(5): lines on standard input, `PING`, `get` OID, `getnext` OID, `set` OID VALUE; answers on standard output.
"""

import asyncio
import bisect
import sys
import time
from collections.abc import Iterable, Iterator

import click

from standfast.alerts.mib import ROOT
from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.errors import StandfastError, UsageError
from standfast.member.control_protocol import Status
from standfast.member.mib_status import Instance, instances
from standfast.member.report import StatusReport

FRESH_S = 1.0
"""How long a report is answered from before the member is asked again: a walk asks for one value at a time."""
MS_PER_S = 1000
Oid = tuple[int, ...]


@click.command(
    short_help="Answer snmpd: the status as objects of the MIB.",
    epilog=example("standfast snmp --member a"),
)
@asking
@click.option("--root", default=ROOT, show_default=True, help="Where the MIB was put.")
def snmp(asked: Asked, root: str) -> None:
    """Answer snmpd, which starts this by a line of its snmpd.conf. See docs/alerts.md.

    Read-only. A member that does not answer has no values.
    """
    table = Table(asked, parsed(root))
    for answer in answers(table, sys.stdin):
        sys.stdout.write(answer)
        sys.stdout.flush()


def parsed(text: str) -> Oid:
    """The numbers of an OID; raises UsageError."""
    try:
        return tuple(int(part) for part in text.strip().strip(".").split("."))
    except ValueError:
        raise UsageError(f"{text!r} is no OID: write numbers with points, such as {ROOT}.") from None


class Table:
    """What the member knows, below `root`; asked for anew when it is older than FRESH_S."""

    def __init__(self, asked: Asked, root: Oid) -> None:
        self._asked = asked
        self._root = root
        self._report: StatusReport | None = None
        self._at_s = -FRESH_S

    def get(self, oid: Oid) -> Instance | None:
        """The value of that number."""
        found = self._all()
        at = bisect.bisect_left(found, (oid,))
        return found[at] if at < len(found) and found[at].oid == oid else None

    def following(self, oid: Oid) -> Instance | None:
        """The value of the next larger number."""
        found = self._all()
        at = bisect.bisect_right(found, oid, key=lambda instance: instance.oid)
        return found[at] if at < len(found) else None

    def _all(self) -> list[Instance]:
        now_s = time.monotonic()
        if now_s - self._at_s >= FRESH_S:
            self._at_s = now_s
            try:
                self._report = asyncio.run(self._status())
            except (StandfastError, OSError):
                self._report = None
        if self._report is None:
            return []
        age_ms = round((now_s - self._at_s) * MS_PER_S)
        return [one._replace(oid=self._root + one.oid) for one in instances(self._report, age_ms)]

    async def _status(self) -> StatusReport:
        async with self._asked.client() as member:
            return await member.ask(Status(), StatusReport)


def answers(table: Table, lines: Iterable[str]) -> Iterator[str]:
    """The answer to each request, until snmpd closes; what is no request gets no answer."""
    asking_lines = iter(lines)
    for line in asking_lines:
        word = line.strip().lower()
        if word == "ping":
            yield "PONG\n"
        elif word in {"get", "getnext"}:
            yield _answer(table, word, next(asking_lines, ""))
        elif word == "set":
            next(asking_lines, "")
            next(asking_lines, "")
            yield "not-writable\n"


def _answer(table: Table, word: str, line: str) -> str:
    try:
        oid = parsed(line)
    except UsageError:
        return "NONE\n"
    found = table.get(oid) if word == "get" else table.following(oid)
    if found is None:
        return "NONE\n"
    return f".{'.'.join(map(str, found.oid))}\n{found.kind}\n{found.value}\n"
