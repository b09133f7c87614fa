"""The command itself: what it knows, how fast it says so, and what becomes of errors."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from standfast import errors
from standfast.cli import endings, words
from standfast.cli import main as main_module
from standfast.cli.exit_codes import exit_codes_table, markdown
from standfast.cli.main import BROKEN_PIPE, COMMANDS, INTERRUPTED, main
from standfast.errors import StandfastError
from standfast.member.control_protocol import Status
from standfast.member.report import NoticeKind
from standfast.model.records import MemberState, Phase
from standfast.quorum.can_stop import Cost
from standfast.quorum.runs import RunState
from standfast.quorum.signals import Verdict
from standfast.quorum.ties import Untied

ROOT = Path(main_module.__file__).parents[2]
ENTRY = "from standfast.cli.main import main; main()"


def shell(*words_: str, **extra) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", ENTRY, *words_],
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **extra,
    )


# ---------------------------------------------------------------- what it knows


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_is_there_and_helps_with_an_example(terminal, command):
    found = getattr(importlib.import_module(f"standfast.cli.{command.module}"), command.attribute)
    assert isinstance(found, click.Command)
    assert found.short_help == command.help
    result = terminal(command.name, "--help")
    assert result.exit_code == 0
    assert f"standfast {command.name}" in result.stdout.partition("Example:")[2]
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_every_enum_that_is_shown_has_words():
    assert set(words.MEMBER_STATES) == set(MemberState)
    assert set(words.PHASES) == set(Phase)
    assert set(words.RUN_STATES) == set(RunState)
    assert set(words.NOTICES) == set(NoticeKind)
    assert set(words.UNTIED) == set(Untied)
    assert set(words.COSTS) == set(words.FURTHER) == set(Cost)
    assert set(endings.VERDICTS) == set(Verdict)
    assert set(words.STYLES) == set(words.Level)


def test_help_imports_no_command_and_answers_at_once():
    """Milliseconds of the process's own work, the best of a few: the machine may be busy."""
    code = (
        "import sys, time\n"
        "from standfast.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'rich', 'msgspec', 'aiohttp', 'cryptography'} & set(sys.modules)\n"
        "print(time.process_time(), sorted(heavy), file=sys.stderr)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=20, check=True)
        for _ in range(5)
    ]
    assert all(run.stderr.endswith("[]\n") for run in runs)
    assert min(float(run.stderr.split()[0]) for run in runs) < 0.150


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(terminal, shell_name):
    result = terminal("completion", shell_name)
    assert result.exit_code == 0
    assert "_STANDFAST_COMPLETE" in result.stdout


def test_completion_completes_commands():
    env = {"_STANDFAST_COMPLETE": "bash_complete", "COMP_WORDS": "standfast ca", "COMP_CWORD": "1"}
    run = subprocess.run(
        [sys.executable, "-c", ENTRY],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert run.stdout.split() == ["plain,can-stop"]


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "kind", [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, StandfastError)]
)
def test_every_error_becomes_its_exit_code_and_a_message(terminal, kind):
    terminal.member.answers[Status] = kind("the message")
    result = terminal("status")
    assert (result.exit_code, result.stdout) == (kind.exit_code, "")
    assert result.stderr == "standfast: the message\n"


def test_an_unforeseen_error_keeps_its_traceback_out_of_sight(terminal, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("standfast.cli.status.headline", lambda _: 1 // 0)
    result = terminal("status")
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    (kept,) = tmp_path.glob("*.traceback")
    assert str(kept) in result.stderr
    assert "ZeroDivisionError" in kept.read_text()


def test_debug_shows_the_traceback_at_once(terminal, monkeypatch):
    monkeypatch.setenv("STANDFAST_DEBUG", "")
    monkeypatch.setattr("standfast.cli.status.headline", lambda _: 1 // 0)
    result = terminal("--debug", "status")
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize("line", ["nonsense", "status --nonsense", "move orders", "events --since yesterday"])
def test_a_wrong_command_line_is_a_usage_error(terminal, line):
    assert terminal(*line.split()).exit_code == errors.UsageError.exit_code


def test_an_interrupt_is_told_from_success(terminal):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    heard = ("env", "--default-signal=INT")  # a shell's job in the background ignores it, and so do its children
    with subprocess.Popen(
        [*heard, sys.executable, "-c", ENTRY, "events", "--follow", "--json", "--socket", str(terminal.socket)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not any(type(asked).__name__ == "Events" for asked in terminal.member.asked):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert (process.returncode, stderr.strip()) == (INTERRUPTED, "")


@pytest.mark.parametrize("command", ["exit-codes", "exit-codes --json", "completion fish"])
def test_a_reader_that_had_enough_is_told_from_failure(terminal, command):
    command = f"exec 3> >(:); wait $!; {sys.executable} -c '{ENTRY}' {command} >&3; echo $?"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    run = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=20, check=True)
    assert run.stdout.split() == [str(BROKEN_PIPE)]
    assert run.stderr == ""


# ---------------------------------------------------------------- exit codes


def test_exit_codes_are_unique_and_complete():
    codes = [row.code for row in exit_codes_table()]
    assert len(codes) == len(set(codes))
    assert {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, StandfastError)} <= set(
        codes
    )


def test_the_document_of_exit_codes_is_up_to_date(terminal):
    assert (ROOT / "docs" / "exit-codes.md").read_text() == markdown()
    assert terminal("exit-codes", "--markdown").stdout == markdown()


def test_exit_codes_as_json(terminal):
    rows = json.loads(terminal("exit-codes", "--json").stdout)
    assert {"code": 12, "name": "NotSafe"}.items() <= next(row for row in rows if row["code"] == 12).items()


def test_the_version_is_the_package_version(terminal):
    assert re.fullmatch(r"standfast, version \d+\.\d+\.\d+\n", terminal("--version").stdout)


def test_the_group_is_the_entry_point():
    assert callable(main)
