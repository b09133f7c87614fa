"""`standfast config`: what is in force in the running cluster, and a change of it.

The text is that of a cluster file. A change is judged as a whole, shown as a difference with what follows from it, and
written in one transaction, guarded by the edition from which it was made.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from msgspec import structs
from rich.text import Text

from standfast.cli.asking import Asked, asking
from standfast.cli.config_change import consequences, difference, different_for_good
from standfast.cli.endings import VERDICTS
from standfast.cli.examples import example
from standfast.cli.screen import as_json, console, show
from standfast.clusterfile import read
from standfast.clusterfile.reader import contents
from standfast.clusterfile.written import written
from standfast.errors import ClusterFileError, MachineError, Outdated, Refused, UsageError
from standfast.member.config_protocol import ConfigReport
from standfast.member.control_protocol import ApplyConfig, OrderResult, ShowConfig
from standfast.model.cluster import Cluster
from standfast.quorum.configuration import differences, fixed

EDITORS = ("sensible-editor", "editor", "vi")
"""Tried in this order when neither VISUAL nor EDITOR names one."""
_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
_expect = click.option(
    "--expect", type=int, metavar="EDITION", help="Refuse unless this edition is the one in force (exit code 13)."
)


@click.group(
    short_help="Show and change the configuration of the running cluster.",
    epilog=example("standfast config show --toml > cluster.toml", "standfast config apply cluster.toml"),
)
def config() -> None:
    """Show and change what is in force: timing, policy, queue managers. Nothing has to be stopped for it.

    The store holds it; a cluster file founds a cluster, and counts after that only until a starting member has read
    the store. See docs/settings.md.
    """


@config.command("show", epilog=example("standfast config show", "standfast config show --toml > cluster.toml"))
@asking
@click.option("--toml", "toml_", is_flag=True, help="Print nothing but the text, as for a file.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def show_config(asked: Asked, *, toml_: bool, json_: bool) -> None:
    """Print what is in force, as the text of a cluster file."""
    report = asked.ask(ShowConfig(), ConfigReport)
    if json_:
        as_json(report)
        return
    if not toml_:
        show(*_head(report), "")
    click.echo(written(report.cluster), nl=False)


@config.command("apply", epilog=example("standfast config apply cluster.toml", "standfast config apply new.toml --yes"))
@asking
@click.argument("file", type=click.Path(path_type=Path))
@_yes
@_expect
@click.option("--json", "json_", is_flag=True, help="Print JSON; asks nothing, so it needs --yes.")
def apply(asked: Asked, file: Path, *, yes: bool, expect: int | None, json_: bool) -> None:
    """Let what FILE says be in force, after a look at the difference.

    Only timing, policy and queue managers may differ. A queue manager is removed in two steps: `halted = true`, then
    without it. Nothing is restarted by itself: the difference says what takes effect when.
    """
    if json_ and not yes:
        raise UsageError("--json asks nothing: give --yes with it.")
    report = _expected(asked, expect)
    _change(asked, report, _wanted(contents(file), str(file)), yes=yes, json_=json_)


@config.command("edit", epilog=example("standfast config edit", "EDITOR=nano standfast config edit"))
@asking
@_yes
@_expect
def edit(asked: Asked, *, yes: bool, expect: int | None) -> None:
    """Change what is in force with an editor: VISUAL, EDITOR, or the system's.

    A text that can not be used is not lost: it can be edited again, or is kept in a file that is named.
    """
    report = _expected(asked, expect)
    before = written(report.cluster)
    with tempfile.NamedTemporaryFile("w", prefix="standfast-config-", suffix=".toml", delete=False) as out:
        out.write("\n".join(f"# {line}" for line in map(str, _head(report))) + "\n\n" + before)
    file = Path(out.name)
    try:
        wanted = _edited(file)
        if not [*differences(report.cluster, wanted)] and fixed(wanted) == fixed(report.cluster):
            show("Nothing was changed.")
        else:
            _change(asked, report, wanted, yes=yes, json_=False)
    except BaseException:
        click.echo(f"The text is kept in {file}: `standfast config apply {file}`.", err=True)
        raise
    file.unlink()


def _expected(asked: Asked, expect: int | None) -> ConfigReport:
    report = asked.ask(ShowConfig(), ConfigReport)
    if not report.founded:
        raise Refused("The store has no configuration yet: a majority of members must run and reach each other first.")
    if expect is not None and report.edition != expect:
        raise Outdated(
            f"Nothing was changed: edition {report.edition} is in force, not {expect}. Look at it with "
            f"`standfast config show`, then make the change anew."
        )
    return report


def _head(report: ConfigReport) -> list[str]:
    lines = [f"Cluster {report.cluster.name}, edition {report.edition}, a lease of {report.cluster.timing.term_ms} ms."]
    if not report.founded:
        lines.append("The store does not hold it yet: this is the cluster file of the member that answered.")
    if report.term_ceiling_ms > report.cluster.timing.term_ms:
        lines.append(f"Leases of up to {report.term_ceiling_ms} ms are still reckoned with, until the change settles.")
    if report.founded and report.waited_for:
        lines.append(f"Not known to go by it yet: {', '.join(report.waited_for)}.")
    if report.file_differs:
        lines.append("The cluster file of the member that answered differs, which does no harm.")
    return lines


def _wanted(text: bytes, name: str) -> Cluster:
    reading = read(text)
    if reading.cluster is None:
        listed = "".join(f"\n  {problem}" for problem in reading.problems)
        raise ClusterFileError(f"Nothing was changed: {name} can not be used.{listed}")
    by_name = sorted(reading.cluster.queue_managers, key=lambda qm: qm.name)
    return structs.replace(reading.cluster, queue_managers=tuple(by_name))


def _edited(file: Path) -> Cluster:
    """What the text says once it can be used; raises ClusterFileError when the user gives up."""
    while True:
        _run_editor(file)
        try:
            return _wanted(contents(file), "the text")
        except ClusterFileError as error:
            if not sys.stdin.isatty():
                raise
            click.echo(f"standfast: {error}", err=True)
            if not click.confirm("Edit it again?", default=True, err=True):
                raise


def _run_editor(file: Path) -> None:
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, EDITORS), "")
    if not chosen:
        raise MachineError("There is no editor: set EDITOR, or use `standfast config show` and `apply`.")
    try:
        done = subprocess.run([*shlex.split(chosen), str(file)], check=False)
    except (OSError, ValueError) as error:
        raise MachineError(f"The editor {chosen!r} can not be started: {error}. Set EDITOR.") from None
    if done.returncode:
        raise MachineError(f"The editor {chosen!r} ended with exit code {done.returncode}; nothing was changed.")


def _change(asked: Asked, report: ConfigReport, wanted: Cluster, *, yes: bool, json_: bool) -> None:
    """Show what would change, ask, and have it done; raises what its verdict means."""
    different_for_good(report.cluster, wanted)
    changes = [*differences(report.cluster, wanted)]
    if not json_:
        show(*difference(written(report.cluster), written(wanted)))
        show(*consequences(report.cluster, wanted))
    if changes and not yes:
        _confirm(report.edition)
    verdict = asked.ask(ApplyConfig(wanted, report.edition), OrderResult).verdict
    ending = VERDICTS[verdict]
    if json_:
        as_json({"verdict": verdict, "edition": report.edition, "changes": changes})
    if ending.raises is not None:
        raise ending.raises(ending.sentence)
    if not json_:
        done = f"Edition {report.edition + 1} is in force. Who goes by it: `standfast config show`."
        show(done if changes else ending.sentence)


def _confirm(edition: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError("This is no terminal to ask at: give --yes once you have looked at the difference.")
    console().print(Text(f"This changes edition {edition} of the running cluster.", style="bold"))
    if not click.confirm("Apply it?", default=False):
        raise Refused("Nothing was changed.")
