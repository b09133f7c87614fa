"""What waits for a sink outlives the process, and a damaged file costs the damaged lines alone."""

from pathlib import Path

import pytest
from msgspec import structs

from standfast.alerts.outbox import Outbox
from standfast.model.events import EventKind
from tests.alerts.test_catalogue import sample


def event(number: int):
    return structs.replace(sample(EventKind.LINK_LOST), id=f"a.1.{number}", revision=0)


async def box(file: Path, limit: int = 100) -> Outbox:
    made = Outbox(file, limit)
    made.load()
    return made


def ids(made: Outbox) -> list[str]:
    return [one.id for one in made.first(1000)]


async def test_what_waits_is_there_after_a_restart_in_order_and_what_is_done_is_not(tmp_path):
    first = await box(tmp_path / "deep" / "sink.log")
    for number in range(5):
        first.add(event(number))
    first.add(event(3))  # told twice by a daemon that did not hear that it was taken
    first.done(["a.1.0", "a.1.2"])
    await first.flush()
    again = await box(tmp_path / "deep" / "sink.log")
    assert ids(again) == ["a.1.1", "a.1.3", "a.1.4"]
    assert again.first(1)[0] == event(1)


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_file_cut_short_anywhere_costs_its_last_line_alone(tmp_path, cut):
    file = tmp_path / "sink.log"
    first = await box(file)
    for number in range(3):
        first.add(event(number))
    await first.flush()
    file.write_bytes(file.read_bytes()[:-cut])
    again = await box(file)
    assert ids(again) == ["a.1.0", "a.1.1"] if cut > 1 else ids(again)[:2] == ["a.1.0", "a.1.1"]
    again.add(event(7))
    await again.flush()
    assert ids(await box(file))[-1] == "a.1.7"


async def test_a_flipped_byte_costs_one_event(tmp_path):
    file = tmp_path / "sink.log"
    first = await box(file)
    for number in range(3):
        first.add(event(number))
    await first.flush()
    lines = file.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"link_lost", b"link_l0st")
    file.write_bytes(b"\n".join(lines))
    again = await box(file)
    assert ids(again) == ["a.1.0", "a.1.2"]
    assert again.damaged == 1


async def test_too_many_cost_the_oldest_and_are_counted(tmp_path):
    made = await box(tmp_path / "sink.log", limit=3)
    for number in range(5):
        made.add(event(number))
    assert (ids(made), made.dropped) == (["a.1.2", "a.1.3", "a.1.4"], 2)
    await made.flush()
    assert ids(await box(tmp_path / "sink.log")) == ids(made)


async def test_a_long_life_does_not_make_a_long_file(tmp_path, monkeypatch):
    monkeypatch.setattr("standfast.alerts.outbox.REWRITE_BYTES", 20_000)
    file = tmp_path / "sink.log"
    made = await box(file)
    made.add(event(9999))
    for number in range(500):
        made.add(event(number))
        made.done([f"a.1.{number}"])
    await made.flush()
    assert file.stat().st_size < 40_000
    assert ids(await box(file)) == ["a.1.9999"]


async def test_a_disk_that_takes_nothing_is_told_of_and_delays_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    made = await box(tmp_path / "file" / "sink.log")
    made.add(event(1))
    assert ids(made) == ["a.1.1"]
    await made.flush()
    assert made.trouble
