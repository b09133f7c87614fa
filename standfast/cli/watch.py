"""`standfast watch`: the cluster on a whole terminal, live; what the page shows, for those who have only a shell."""

import asyncio
import contextlib
import sys
import termios
import tty
from collections import deque
from collections.abc import Iterator

import click

from standfast.cli.asking import Asked, asking
from standfast.cli.examples import example
from standfast.cli.screen import whole_console
from standfast.cli.watch_view import Seen, view
from standfast.errors import StandfastError, Unreachable, UsageError
from standfast.member.control_protocol import EventLine, Events, Status
from standfast.member.report import StatusReport

LOOK_S = 0.25
AGAIN_S = 1.0
KEPT = 2000
"""Newest events of which takeovers are made."""
QUIT = {"q", "Q", "\x1b", "\x03"}


@click.command(
    short_help="The cluster on a whole terminal, live.", epilog=example("standfast watch", "standfast watch --member a")
)
@asking
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=LOOK_S,
    show_default=True,
    help="Pause between two looks, in seconds.",
)
def watch(asked: Asked, interval_s: float) -> None:
    """Show the cluster as one member sees it, live: verdict, who runs what, leases, who hears whom, takeovers, events.

    Ends with q or Ctrl-C. For scripts there is `standfast status --json`.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "This needs a terminal. In a pipe use `standfast status --json` and `standfast events --follow`."
        )
    asked.path()  # says at once when there is nobody to ask
    asyncio.run(_Watch(asked, interval_s).run())


class _Watch:
    """One run of the command."""

    def __init__(self, asked: Asked, interval_s: float) -> None:
        self._asked = asked
        self._interval_s = interval_s
        self._report: StatusReport | None = None
        self._trouble = ""
        self._lines: deque[EventLine] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Until somebody quits."""
        from rich.live import Live  # noqa: PLC0415 - only this command needs it

        out, over = whole_console(), asyncio.Event()
        with _keys(over), Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
            work = [asyncio.create_task(self._look()), asyncio.create_task(self._follow())]
            try:
                while not over.is_set():
                    size = out.size
                    seen = Seen(self._report, tuple(self._lines), self._trouble)
                    live.update(view(seen, size.width, size.height), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._interval_s):
                            await over.wait()
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            try:
                async with self._asked.client() as member:
                    while True:
                        self._report, self._trouble = await member.ask(Status(), StatusReport), ""
                        await asyncio.sleep(self._interval_s)
            except Unreachable as error:
                self._trouble = str(error)
            await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        """The log from its beginning, then each event."""
        revision = 0
        while True:
            with contextlib.suppress(StandfastError):
                async with (
                    self._asked.client() as member,
                    contextlib.aclosing(member.events(Events(since=revision, follow=True))) as lines,
                ):
                    async for line in lines:
                        revision = max(revision, line.revision)
                        self._lines.append(line)
            await asyncio.sleep(AGAIN_S)


@contextlib.contextmanager
def _keys(over: asyncio.Event) -> Iterator[None]:
    """Take keys one by one, unseen; the terminal is as before when the block ends."""
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed() -> None:
        if set(sys.stdin.read(1)) & QUIT:
            over.set()

    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, pressed)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
