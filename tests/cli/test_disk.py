"""`standfast disk`: prepared, shown while members write, and refused with the right exit code."""

import asyncio
import json
from pathlib import Path

import pytest

from standfast.cli.disk import SEEN
from standfast.cli.run import TRUST
from standfast.clusterfile import load
from standfast.errors import KeyFileError, MachineError, StateError, UsageError
from standfast.links.disk import DiskLink
from standfast.links.disk_slots import SlotState
from standfast.trust import CLUSTER_KEY, load_cluster_key
from tests.links.disks import heartbeat, until


@pytest.fixture
def shop(terminal, tmp_path: Path) -> Path:
    """A cluster file and keys, as `standfast init` makes them."""
    folder = tmp_path / "shop"
    members = ("--data", "a=127.0.93.1", "--data", "b=127.0.93.2", "--witness", "w=127.0.93.3")
    made = terminal("init", "--cluster", "shop", "--profile", "fast", *members, "--out", str(folder))
    assert made.exit_code == 0
    return folder / "cluster.toml"


def shown(terminal, path: Path, file: Path) -> dict[str, dict]:
    result = terminal("disk", "show", str(path), "--file", str(file), "--json", "--look", "0.2")
    assert result.exit_code == 0
    return {slot["member"]: slot for slot in json.loads(result.stdout)["slots"]}


def test_init_says_what_it_did(terminal, shop: Path, tmp_path: Path):
    argv = ("disk", "init", str(tmp_path / "disk"), "--file", str(shop), "--json")
    first, second = (json.loads(terminal(*argv).stdout) for _ in range(2))
    assert (first["outcome"], second["outcome"]) == ("formatted", "unchanged")
    assert [name for name in second["members"] if name] == ["a", "b", "w"]
    forced = json.loads(terminal(*argv, "--force", "shop").stdout)
    assert forced["disk"] != first["disk"]


async def test_show_tells_who_writes_and_who_reads_whom(terminal, shop: Path, tmp_path: Path):
    path = tmp_path / "disk"
    await asyncio.to_thread(terminal, "disk", "init", str(path), "--file", str(shop))
    assert {slot["state"] for slot in (await asyncio.to_thread(shown, terminal, path, shop)).values()} == {"blank"}
    cluster = load(shop)
    heard: list[str] = []
    links = {}
    for name in ("a", "b"):
        key = load_cluster_key(shop.parent / TRUST / name / CLUSTER_KEY)
        links[name] = DiskLink(str(path), cluster, name, key)
        await links[name].open(lambda h: heard.append(h.sender))

    async def beat(*names: str) -> None:
        for number in range(10**6):
            for name in names:
                links[name].send(heartbeat(name, number))
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(beat("a", "b"))
        await until(lambda: {"a", "b"} <= set(heard))
        beating.cancel()
        beating = tasks.create_task(beat("a"))
        await until(lambda: links["a"].slot("b").state is SlotState.SILENT)
        slots = await asyncio.to_thread(shown, terminal, path, shop)
        beating.cancel()
    for link in links.values():
        link.close()
    assert {name: slot["state"] for name, slot in slots.items()} == {"a": "unmet", "b": "silent", "w": "blank"}
    assert set(slots["a"]["reads"]) >= {"b"}
    assert slots["a"]["sequence"] > 1 << 32


def test_a_slot_sealed_with_another_key_or_torn_is_shown_and_is_no_failure(terminal, shop: Path, tmp_path: Path):
    path = tmp_path / "disk"
    terminal("disk", "init", str(path), "--file", str(shop))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"SFDISK\x01Rtorn")
    assert shown(terminal, path, shop)["a"]["fault"] == "damaged"
    assert terminal("disk", "show", str(path), "--file", str(shop), "--look", "0.01").exit_code == 0


def test_without_a_path_it_is_the_disk_of_the_cluster_file(terminal, shop: Path, tmp_path: Path):
    argv = ("--file", str(shop))
    assert terminal("disk", "init", *argv).exit_code == UsageError.exit_code
    path = tmp_path / "disk"
    shop.write_text(shop.read_text().replace('#path = ""', f'path = "{path}"'))
    assert found(terminal, shop) == "WARNING"
    assert terminal("disk", "init", *argv).exit_code == 0
    assert terminal("disk", "show", *argv, "--look", "0.01").exit_code == 0
    assert found(terminal, shop) == "OK"


def found(terminal, file: Path) -> str:
    """What `check` says of the disk, as member a."""
    checked = terminal("check", str(file), "--member", "a", "--json")
    return next(one["level"] for one in json.loads(checked.stdout) if one["subject"] == "shared disk")


def test_each_refusal_has_its_exit_code(terminal, shop: Path, tmp_path: Path):
    disk, other = tmp_path / "disk", tmp_path / "other"
    terminal("disk", "init", str(disk), "--file", str(shop))
    other.write_bytes(b"data" * 100_000)
    file = ("--file", str(shop))

    def exits(*argv: str) -> int:
        result = terminal("disk", *argv)
        assert result.stdout == ""
        return result.exit_code

    assert exits("init", str(other), *file) == StateError.exit_code
    assert exits("init", str(other), *file, "--force", "another") == UsageError.exit_code
    assert exits("show", str(other), *file) == StateError.exit_code
    assert exits("show", str(tmp_path / "none"), *file) == MachineError.exit_code
    assert exits("show", str(disk), *file, "--trust", str(tmp_path)) == KeyFileError.exit_code
    stranger = tmp_path / "stranger"
    terminal("init", "--cluster", "shop", "--data", "a=127.0.93.1", "--data", "b=127.0.93.2", "--witness",
             "w=127.0.93.3", "--out", str(stranger))  # fmt: skip
    assert exits("show", str(disk), "--file", str(stranger / "cluster.toml")) == StateError.exit_code
    assert exits("show", str(disk), *file, "--trust", str(stranger / TRUST / "a")) == KeyFileError.exit_code


def test_every_state_has_its_word():
    assert set(SEEN) == set(SlotState)
