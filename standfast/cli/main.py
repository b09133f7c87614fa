"""The command `standfast`: which commands there are, and what becomes of errors.

A command's module is imported when the command is run, so that `standfast --help` and completion answer at once. To
add a command, write its module and add one line to COMMANDS; a test imports every one of them and compares the help.
"""

import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import click

from standfast import __version__
from standfast.errors import StandfastError

INTERRUPTED = 130
"""What a shell reports of a program that SIGINT ended (128 + 2)."""
BROKEN_PIPE = 141
"""The same for SIGPIPE (128 + 13): the reader of a pipe had enough."""


class Command(NamedTuple):
    """A command: the object `command` in the module `standfast.cli.MODULE`, unless `attribute` says another name."""

    name: str
    module: str
    attribute: str
    section: str
    help: str


COMMANDS: tuple[Command, ...] = (
    Command("init", "init", "init", "Set up", "Write a cluster file, keys and certificates."),
    Command("check", "check", "check", "Set up", "Judge a cluster file and this machine; changes nothing."),
    Command("run", "run", "run", "Set up", "Run a member in the foreground."),
    Command("token", "token", "token", "Set up", "Tokens for the API and its page."),
    Command("unit", "unit", "unit", "Set up", "Print what systemd must know of the cluster file."),
    Command("disk", "disk", "disk", "Set up", "Prepare a shared disk for heartbeats, and look at one."),
    Command("verify", "verify", "verify", "Set up", "Try out whether storage can be shared by two machines."),
    Command("status", "status", "status", "Look", "Who runs what, who hears whom, what needs a person."),
    Command("watch", "watch", "watch", "Look", "The cluster on a whole terminal, live."),
    Command("history", "history", "history", "Look", "Takeovers and restarts: when, from, to, why, how long."),
    Command("events", "events", "events", "Look", "The event log; --follow shows events as they come."),
    Command("can-stop", "can_stop", "can_stop", "Look", "Whether a member may be stopped now, as an exit code."),
    Command("what-if", "what_if", "what_if", "Look", "What would follow if members or links were lost."),
    Command("snapshot", "what_if", "snapshot", "Look", "What one member knows, as a file for what-if."),
    Command("move", "orders", "move", "Act", "Run a queue manager on another member."),
    Command("drain", "orders", "drain", "Act", "Let a member run nothing, before work on it."),
    Command("undrain", "orders", "undrain", "Act", "Let a drained member run queue managers again."),
    Command("clear", "orders", "clear", "Act", "Let a member out of quarantine."),
    Command("fence", "fence", "fence", "Act", "Try the fence agent; say that a member is off."),
    Command("freeze", "orders", "freeze", "Act", "Suspend takeovers and moves."),
    Command("thaw", "orders", "thaw", "Act", "Resume takeovers and moves."),
    Command("restart", "restart", "restart", "Act", "Restart a member's daemon, without moving anything."),
    Command("member", "member", "member", "Act", "Add, remove, replace a voting member."),
    Command("config", "config", "config", "Act", "Show and change the configuration of the running cluster."),
    Command("override", "override", "override", "Act", "Run one data member without a majority."),
    Command("drbd", "drbd", "drbd", "Act", "Replicated storage: resource files, handlers, state."),
    Command("recover", "recover", "recover", "Act", "Rebuild the store from a survivor."),
    Command("store", "store", "store", "Act", "Check, back up, restore the store of decisions."),
    Command("alert", "alert", "alert", "Act", "Try whether events reach their sinks."),
    Command("instance", "instance", "instance", "Act", "This machine as an instance of AWS."),
    Command("demo", "demo", "demo", "Try", "A cluster on this machine through one failure after the other."),
    Command("drill", "drill", "drill", "Try", "Faults on a running cluster under a load, with a report."),
    Command("sim", "sim", "sim", "Try", "Simulate a cluster with faults and check every promise."),
    Command("lab", "lab", "lab", "Try", "A real cluster on this machine to play with."),
    Command("proxy", "proxy", "proxy", "Clients", "Forward a port to whichever member runs a queue manager."),
    Command("snmp", "snmp", "snmp", "Clients", "Answer snmpd: the status as objects of the MIB."),
    Command("explain", "explain", "explain", "Help", "What an event or a code means, and what to do."),
    Command("exit-codes", "exit_codes", "exit_codes", "Help", "What each exit code means."),
    Command("completion", "completion", "completion", "Help", "Print the completion script for a shell."),
)


class StandfastGroup(click.Group):
    """Loads commands on demand, shows them by section, and turns every exception into message and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the table."""
        return [command.name for command in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command's module; a module that is missing is a bug, and is not hidden."""
        for command in COMMANDS:
            if command.name == cmd_name:
                module = importlib.import_module(f"standfast.cli.{command.module}")
                found = getattr(module, command.attribute)
                assert isinstance(found, click.Command)
                return found
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """By section, from the table: no module is imported for it."""
        for section in dict.fromkeys(command.section for command in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(c.name, c.help) for c in COMMANDS if c.section == section], col_max=14)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and write what is still buffered while an error of it can be told."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
            sys.exit(BROKEN_PIPE)
        return result

    def main(  # type: ignore[override]  # this one always exits, as click's does in standalone mode
        self, args: Sequence[str] | None = None, prog_name: str | None = "standfast", **extra: Any
    ) -> NoReturn:
        """Run a command and exit."""
        extra["standalone_mode"] = False
        try:
            result = super().main(args, prog_name, **extra)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except StandfastError as error:
            click.echo(f"standfast: {error}", err=True)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            sys.exit(INTERRUPTED)
        except Exception:  # noqa: BLE001 - the last net: an operator gets a sentence, the authors a file
            _unforeseen()
            sys.exit(StandfastError.exit_code)
        sys.exit(result if isinstance(result, int) else 0)


def _unforeseen() -> None:
    """Keep the traceback for a report, and show it only to those who asked for it."""
    if os.environ.get("STANDFAST_DEBUG"):
        click.echo(traceback.format_exc(), err=True, nl=False)
        return
    with tempfile.NamedTemporaryFile("w", prefix="standfast-", suffix=".traceback", delete=False) as file:
        file.write(f"standfast {__version__}: {' '.join(sys.argv)}\n{traceback.format_exc()}")
    click.echo(
        f"standfast: an error that nobody foresaw: {sys.exc_info()[1]!r}.\n"
        f"Its traceback is in {file.name}. Please report it; `standfast --debug ...` shows it at once.",
        err=True,
    )


def _debug(_ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        os.environ["STANDFAST_DEBUG"] = "1"


@click.group(cls=StandfastGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="standfast")
@click.option("--debug", is_flag=True, expose_value=False, callback=_debug, help="Show tracebacks.")
def main() -> None:
    """Keep message queue managers available: one active, a majority decides, nothing acknowledged is lost.

    Begin with `standfast init --help`. Every command has --help with an example. Exit codes: `standfast exit-codes`.
    Completion for the shell: eval "$(standfast completion bash)".
    """
