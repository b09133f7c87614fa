"""`standfast verify storage`: two sides on one directory, sides that hang or are not there, and the verdict."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from standfast.cli.main import main
from standfast.cli.verify_words import CODES, STATES, VERDICTS, sentence
from standfast.errors import StorageUnfit
from standfast.storage import verify
from standfast.storage.verify import Finding, Report, State, Step, Verdict, examine, verdict
from standfast.storage.verify_child import FOLDER
from standfast.storage.verify_sides import Here, Hung, serve


def found(report: Report) -> dict[Step, Finding]:
    return {finding.step: finding for finding in report.findings}


async def examined(path: Path, **more: object) -> Report:
    wanted: dict[str, object] = {"meet_s": 20.0, "alone": False, "cut": None, "tell": lambda _: None, **more}
    return await examine(str(path), **wanted)  # type: ignore[arg-type]


async def test_two_sides_that_meet_by_way_of_the_storage_find_it_fit_and_leave_nothing_behind(tmp_path: Path):
    partner = Here(str(tmp_path))
    serving = asyncio.create_task(serve(partner, 20.0))
    report = await examined(tmp_path)
    await serving
    partner.close()
    assert report.verdict is Verdict.FIT
    assert {f.step for f in report.findings if f.state is not State.FINE} == {Step.POWER_CUT}
    assert found(report)[Step.COUNTING].values["counted"] == 2 * verify.ROUNDS
    assert report.machines == 1
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - a local directory


async def test_storage_that_is_not_shared_is_told_by_the_silence_of_the_other_side(tmp_path: Path):
    here, elsewhere = tmp_path / "a", tmp_path / "b"
    here.mkdir()
    elsewhere.mkdir()
    partner = Here(str(elsewhere))
    serving = asyncio.create_task(serve(partner, 30.0))
    report = await examined(here, meet_s=-9.0)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    partner.close()
    assert report.verdict is Verdict.UNFIT
    assert found(report)[Step.SHARED].state is State.HUNG
    assert found(report)[Step.COUNTING].state is State.SKIPPED


async def test_a_call_that_hangs_is_left_behind_at_its_deadline_and_others_still_answer(tmp_path: Path):
    here = Here(str(tmp_path))
    await here.begin(clean=True)
    os.mkfifo(tmp_path / FOLDER / "handle")  # opening it blocks for ever, as a file on a dead mount does
    began = time.monotonic()
    with pytest.raises(Hung):
        await here.ask("keep", within_s=0.2)
    assert time.monotonic() - began < 2.0
    assert "p50_ms" in await here.ask("latency", writes=2)
    here.close()


class Lax(Here):
    """A stand-in for a machine whose locks nobody else sees."""

    async def ask(self, do: str, **arguments: object) -> dict[str, object]:  # type: ignore[override]
        if do == "lock":
            return {"got": True}
        return await super().ask(do, **arguments)  # type: ignore[arg-type]


class Forgetful(Here):
    """A stand-in for a machine that reads from its cache what another one has replaced."""

    async def ask(self, do: str, **arguments: object) -> dict[str, object]:  # type: ignore[override]
        if do == "compare":
            arguments["even"] = "cached"
        return await super().ask(do, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("liar", "step"), [(Lax, Step.EXCLUSION), (Forgetful, Step.INTEGRITY)])
async def test_a_machine_that_breaks_a_promise_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liar: type[Here], step: Step
):
    monkeypatch.setattr(verify, "Here", liar)
    report = await examined(tmp_path, alone=True)
    assert found(report)[step].state is State.FAILED
    assert report.verdict is Verdict.UNFIT


@pytest.mark.parametrize("state", State)
def test_the_verdict_follows_from_the_worst_finding(state: State):
    others = [Finding(step=step, state=State.FINE) for step in Step]
    wanted = {State.FAILED: Verdict.UNFIT, State.HUNG: Verdict.UNFIT, State.REMARK: Verdict.FIT_WITH_REMARKS}
    assert verdict([*others, Finding(step=Step.CLOCK, state=state)]) is wanted.get(state, Verdict.FIT)


def test_every_word_is_there():
    assert {*STATES} == {*State}
    assert {*VERDICTS} == {*Verdict}
    for step in Step:
        for state in State:
            for codes in ((), *((code,) for code in CODES)):
                assert sentence(Finding(step=step, state=state, codes=codes, detail="what it said"), "b").strip(".")


def test_the_command_gives_its_verdict_as_exit_code(tmp_path: Path):
    run = CliRunner().invoke
    assert run(main, ["verify", "storage", str(tmp_path), "--alone", "--json"]).exit_code == 0
    missing = run(main, ["verify", "storage", str(tmp_path / "missing"), "--alone"])
    assert missing.exit_code == StorageUnfit.exit_code
    assert run(main, ["verify", "storage", str(tmp_path)]).exit_code == 2
