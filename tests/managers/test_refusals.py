"""What would break a promise is told before it runs: a program that is too old, a setting, a login nobody has."""

from pathlib import Path

import pytest
from msgspec import structs

from standfast.managers.registry import driver
from tests.managers.broker import place_for


@pytest.mark.parametrize(
    ("kind", "program", "says"),
    [
        ("nats", "nats-server", "nats-server: v2.9.25"),
        ("mosquitto", "mosquitto", "mosquitto version 1.6.12"),
    ],
)
async def test_an_old_program_is_told(
    kind: str, program: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / program).write_text(f"#!/bin/sh\necho '{says}'\n")
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert [one.severe for one in await driver(kind).examine(place_for(driver(kind), tmp_path))] == [True]


async def test_an_old_rabbitmq_is_told(tmp_path: Path) -> None:
    for made in ("sbin", "plugins/rabbit-3.9.29"):
        (tmp_path / made).mkdir(parents=True)
    (tmp_path / "sbin" / "rabbitmq-server").touch(mode=0o755)
    place = place_for(driver("rabbitmq"), tmp_path, installation=str(tmp_path))
    assert [one.severe for one in await driver("rabbitmq").examine(place)] == [True]


def test_rabbitmq_lets_nobody_set_what_a_promise_rests_on(tmp_path: Path) -> None:
    rabbitmq = driver("rabbitmq")
    for line in ("raft.wal_max_size_bytes", "listeners.tcp.2", "load_definitions", "default_pass"):
        assert len(rabbitmq.problems(place_for(rabbitmq, tmp_path, settings={line: "1"}))) == 1, line
    assert len(rabbitmq.problems(place_for(rabbitmq, tmp_path, settings={"heartbeat": "10\nraft.x = 1"}))) == 1
    assert rabbitmq.problems(place_for(rabbitmq, tmp_path, settings={"heartbeat": "10"})) == []


def test_rabbitmq_needs_a_user_where_others_can_reach_it(tmp_path: Path) -> None:
    rabbitmq = driver("rabbitmq")
    place = structs.replace(place_for(rabbitmq, tmp_path), address="10.0.0.5")
    assert len(rabbitmq.problems(place)) == 1
