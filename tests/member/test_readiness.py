"""A standby that could not take over says so at once, and why, each reason as it happens to real machines."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from standfast.member import readiness
from standfast.member.fitness import Fitness
from standfast.member.listeners import listeners
from standfast.member.readiness import Why
from standfast.model.choices import VersionRule
from standfast.model.cluster import Cluster, MemberSpec, QueueManagerSpec, Role, StorageSpec
from standfast.model.events import Event, EventKind
from standfast.model.records import Assignment
from standfast.model.view import Kept, View
from standfast.ports import Place
from standfast.quorum import signals as sig
from tests.addresses import WORKER, own
from tests.member.test_fitness import Notices
from tests.member.warden_stage import until

NET = own(11)
ADDRESS, PORT = f"{NET}.7", 21_300 + WORKER
MB = 1_000_000
ENOUGH = 10**9


class Standby:
    """A member that looks at one queue manager, which another one runs."""

    def __init__(self, tmp_path: Path, **spec: Any) -> None:
        self.program = tmp_path / "program"
        self.program.write_text("#!/bin/sh\necho version 2.1.0\n")
        self.program.chmod(0o755)
        self.storage = tmp_path / "shared"
        self.storage.mkdir()
        options = {"start": [str(self.program)], "version": [str(self.program)]}
        storage = StorageSpec(path=str(self.storage / "q"))
        self.spec = QueueManagerSpec(name="q", kind="command", port=PORT, storage=storage, options=options, **spec)
        self.last = ""
        """The version that ran it last."""
        self.unfit: list[tuple[str, ...]] = []
        self.told: list[Event] = []
        members = (MemberSpec(name="a", role=Role.DATA, addresses=(ADDRESS,)),)
        place = Place.of(self.spec, tmp_path, ADDRESS)
        self.fitness = Fitness(
            Cluster(name="c", id="1", members=members, queue_managers=(self.spec,)),
            lambda _: place,
            self.view,
            self._given,
            Notices(),  # type: ignore[arg-type]
            hindrance=lambda: "",
            told=self.told.append,
        )

    def view(self) -> View:
        return View(assignments={"q": Kept(Assignment(qm="q", version=self.last), 1)})

    def _given(self, given: sig.Input) -> None:
        if isinstance(given, sig.FitnessChanged):
            assert given.unfit is not None
            self.unfit.append(given.unfit)

    async def ready(self) -> None:
        self.fitness.look_again()
        await until(lambda: self.unfit[-1:] == [()])

    async def unready(self, why: Why) -> None:
        """It is never chosen from now on, and that was told with the reason."""
        self.fitness.look_again()
        await until(lambda: self.unfit[-1:] == [("q",)])
        assert self.told[-1].kind is EventKind.STANDBY_UNREADY
        assert self.told[-1].fields["why"] == why

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator["Standby"]:
        task = asyncio.create_task(self.fitness.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_program_that_is_removed_and_a_port_that_is_taken_and_a_storage_that_is_gone(tmp_path: Path):
    async with Standby(tmp_path).looking() as standby:
        await standby.ready()
        aside = standby.program.rename(tmp_path / "aside")
        await standby.unready(Why.PROGRAM)
        aside.rename(standby.program)
        await standby.ready()

        for bound_to in (ADDRESS, "0.0.0.0"):
            with socket.create_server((bound_to, PORT)):
                await standby.unready(Why.PORT)
            await standby.ready()
        with socket.create_server((f"{NET}.8", PORT)):  # another address of this machine: not in its way
            await standby.ready()

        shutil.rmtree(standby.storage)
        await standby.unready(Why.STORAGE)
        standby.storage.mkdir()
        await standby.ready()
        kinds = [event.kind for event in standby.told]
        assert kinds == [EventKind.STANDBY_UNREADY, EventKind.STANDBY_READY] * 4


@pytest.mark.parametrize(
    ("spec", "why"), [({"min_memory_mb": ENOUGH}, Why.MEMORY), ({"min_disk_mb": ENOUGH}, Why.STORAGE)]
)
async def test_too_little_memory_or_room(tmp_path: Path, spec: dict[str, int], why: Why):
    async with Standby(tmp_path, **spec).looking() as standby:
        await standby.unready(why)


LOOK = """
import json, sys
from pathlib import Path
from standfast.storage.probe_child import look
print(json.dumps(look(Path(sys.argv[1]), mount=True, fresh=False)))
"""
FILL = 'mount -t tmpfs -o size=1m tmpfs "$1"; $BEFORE; dd if=/dev/zero of="$1/f" 2>/dev/null; exec "$2" -c "$3" "$1"'


@pytest.mark.parametrize("before", ["true", 'cp /etc/hostname "$1/.standfast-probe"'], ids=["new", "written before"])
def test_a_file_system_that_is_full(tmp_path: Path, before: str):
    """A real one, of one megabyte; where the probe's own block is there already, the room that is left tells it."""
    shell = ["unshare", "-rm", "sh", "-c", FILL.replace("$BEFORE", before), "sh", str(tmp_path), sys.executable, LOOK]
    found = json.loads(subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout)
    spec = QueueManagerSpec(name="q", kind="nats", port=PORT, storage=StorageSpec(path=str(tmp_path)))
    assert found["state"] == "full" or readiness.disk_trouble(spec, found["free_bytes"])


async def test_a_version_older_than_the_last_owners_is_in_the_way_until_it_is_brought_to_it(tmp_path: Path):
    async with Standby(tmp_path).looking() as standby:
        await standby.ready()
        for last in ("2.1", "2.0.9", ""):
            standby.last = last
            await standby.ready()
        standby.last = "2.2"
        await standby.unready(Why.VERSION)
        standby.program.write_text("#!/bin/sh\necho version 2.2.1\n")
        await standby.ready()


@pytest.mark.parametrize(
    ("rule", "own", "last", "fine"),
    [
        (VersionRule.NOT_OLDER, "2.9.0", "2.10.1", False),
        (VersionRule.NOT_OLDER, "2.10.1", "2.9.0", True),
        (VersionRule.NOT_OLDER, "2.9", "2.9.0", True),
        (VersionRule.NOT_OLDER, "3.10.8-1+deb12u1", "3.10.8-1", True),
        (VersionRule.EQUAL, "2.10.1", "2.9.0", False),
        (VersionRule.EQUAL, "2.9.0", "2.9.0", True),
        (VersionRule.EQUAL, "", "2.9.0", True),
        (VersionRule.ANY, "1.0", "2.0", True),
    ],
)
def test_versions_are_compared_by_their_numbers(rule: VersionRule, own: str, last: str, fine: bool):
    assert (not readiness.version_trouble(rule, own, last)) is fine


@pytest.mark.parametrize("told_by", ["netlink", "proc"])
def test_what_listens_is_found_by_address_and_port(told_by: str, monkeypatch: pytest.MonkeyPatch):
    """Also where the kernel was built without the netlink that tells of listening sockets alone."""
    if told_by == "proc":
        monkeypatch.setattr("standfast.member.listeners._NETLINK_SOCK_DIAG", 31)  # a family that no kernel has
    with socket.create_server((ADDRESS, PORT)), socket.create_server(("::1", PORT), family=socket.AF_INET6):
        found = listeners()
        for address, everywhere, free in (
            (ADDRESS, False, False),
            (f"{NET}.9", False, True),
            (f"{NET}.9", True, False),
            ("::1", False, False),
            ("fd00::1", False, True),
        ):
            place = Place(
                name="q", data_dir=Path("/"), run_dir=Path("/"), address=address, port=PORT, everywhere=everywhere
            )
            assert (not readiness.port_trouble(place, found)) is free
