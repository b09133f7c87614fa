"""What is particular to commands: what is checked beforehand, and a queue manager that only seems to serve."""

import os
import signal
import sys
from pathlib import Path

import pytest
from msgspec import structs

from standfast.errors import MachineError
from standfast.managers.command import Command
from standfast.ports import NotReady
from tests.managers.broker import nats_in, place_for, place_in, started


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "'start'"),
        ({"start": ["true", "{datadir}"]}, "{data_dir}"),
        ({"start": ["{data_dir}/bin/start"]}, "'start'"),  # a hung mount would hang who looks for it
        ({"start": ["true"], "status": ["true"], "serves": [0, 3]}, "'stopped'"),
        ({"start": "true"}, "'start'"),
    ],
)
def test_commands_that_can_not_work_are_told_with_the_reason(
    tmp_path: Path, options: dict[str, object], named: str
) -> None:
    (problem,) = Command().problems(place_in(tmp_path, **options))
    assert named in problem


async def test_words_that_name_one_address_are_remarked_when_clients_come_by_another(tmp_path: Path) -> None:
    for words, remarks in ((["true", "{address}"], [False]), (["true", "0.0.0.0:{port}"], [])):
        place = place_in(tmp_path, start=words)
        assert await Command().examine(place) == []
        assert [one.severe for one in await Command().examine(structs.replace(place, everywhere=True))] == remarks


def test_braces_that_are_no_placeholders_are_left_alone(tmp_path: Path) -> None:
    words = ["/bin/sh", "-c", 'echo "${name} {}" {"port": 1} {port}']
    place = place_in(tmp_path, start=words)
    assert Command().problems(place) == []
    assert Command().launch(place).argv[2] == f'echo "${{name}} {{}}" {{"port": 1}} {place.port}'


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").touch(mode=0o644)
    for word in ("no-such-program", "/no/such/program", str(tmp_path / "text")):
        with pytest.raises(MachineError) as missing:
            Command().launch(place_in(tmp_path, start=[word]))
        assert word in str(missing.value)


async def test_a_user_that_can_not_be_become_is_told(tmp_path: Path) -> None:
    place = place_in(tmp_path, start=["true"], run_as="nobody-at-all")
    assert [remark.severe for remark in await Command().examine(place)] == [True]


def test_a_plain_program_in_the_foreground_needs_no_minder(tmp_path: Path) -> None:
    assert Command().launch(place_in(tmp_path, start=["sleep", "1"], foreground=True)).tended is None
    assert Command().launch(place_in(tmp_path, start=["sleep", "1"])).tended is not None


async def test_a_port_that_answers_is_not_enough_where_a_status_command_says_no(tmp_path: Path) -> None:
    place = place_for(Command(), tmp_path)
    async with started(Command(), place) as broker:
        await broker.ready()
        os.kill(nats_in(broker.living()), signal.SIGSTOP)
        only_port = structs.replace(place, options={"start": place.options["start"]})
        await broker.until_not_ready()
        await Command().ready(only_port, 1.0)  # the kernel accepts connections in its name
        with pytest.raises(NotReady):
            await Command().ready(place, 1.0)


async def test_one_that_starts_slowly_is_waited_for(tmp_path: Path) -> None:
    place = place_for(Command(), tmp_path)
    shell, option, script, *words = place.options["start"]  # type: ignore[misc]
    slow = structs.replace(place, options={**place.options, "start": [shell, option, f"sleep 1; {script}", *words]})
    async with started(Command(), slow) as broker:
        assert await broker.ready() > 1.0


async def test_its_version_is_what_its_command_prints(tmp_path: Path) -> None:
    assert (await Command().version(place_in(tmp_path, start=["true"]))) == "unknown"
    place = place_in(tmp_path, start=["true"], version=[sys.executable, "-c", "print('Broker v1.2.3-rc4')"])
    assert (await Command().version(place)) == "1.2.3"
    with pytest.raises(MachineError):
        await Command().version(place_in(tmp_path, start=["true"], version=["true"]))
