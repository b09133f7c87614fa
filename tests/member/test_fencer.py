"""The fencer with a real fence agent of Debian's package (fence_dummy, which switches a file instead of a machine)."""

import asyncio
import os
from pathlib import Path

import pytest
from msgspec import structs

from standfast.member.fencer import OFF, STATUS, Fencer, ask_agent, options_for
from standfast.model.cluster import FencingSpec
from standfast.quorum.signals import Fenced


def spec(tmp_path: Path, **options: str | float) -> FencingSpec:
    return FencingSpec(
        command=("/usr/sbin/fence_dummy",),
        timeout_s=20.0,
        options={"type": "file", "status_file": str(tmp_path / "a.status"), **options},
        members={"a": {"delay": 0}},
    )


async def fenced(given: FencingSpec) -> Fenced:
    answer: asyncio.Future[Fenced] = asyncio.get_running_loop().create_future()
    Fencer(given, answer.set_result).fence("a")
    return await answer


def test_a_member_s_options_override_those_of_all(tmp_path: Path):
    given = structs.replace(spec(tmp_path), options={"delay": 5, "type": "file"})
    assert options_for(given, "a", OFF) == b"action=off\ndelay=0\ntype=file\n"


def test_the_action_may_be_another_one_but_a_question_stays_a_question(tmp_path: Path):
    given = spec(tmp_path, action="reboot")
    assert options_for(given, "a", OFF).startswith(b"action=reboot\n")
    assert options_for(given, "a", STATUS).startswith(b"action=status\n")


async def test_the_agent_switches_it_off(tmp_path: Path):
    (tmp_path / "a.status").write_text("on")
    assert (await ask_agent(spec(tmp_path), "a", STATUS))[0] == 0
    assert (await fenced(spec(tmp_path))).done
    assert (tmp_path / "a.status").read_text() == "off"
    assert (await ask_agent(spec(tmp_path), "a", STATUS))[0] == 2


async def test_an_agent_that_fails_says_why(tmp_path: Path):
    answer = await fenced(spec(tmp_path, action="dance"))
    assert not answer.done
    assert answer.detail


async def test_an_agent_that_does_not_answer_is_killed_at_the_deadline(tmp_path: Path):
    silent = tmp_path / "agent"
    silent.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    silent.chmod(0o755)
    answer = await fenced(structs.replace(spec(tmp_path), command=(str(silent),), timeout_s=0.5))
    assert not answer.done
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_program_that_is_missing_is_a_failure_and_no_crash(tmp_path: Path):
    assert not (await fenced(structs.replace(spec(tmp_path), command=("/nonexistent/agent",)))).done
