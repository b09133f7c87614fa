"""NFS 4.1 between machines: what `verify storage` finds there, what it costs a takeover, and what a cache hides."""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.vm import figures, nfs
from tests.vm.machines import Done, Failed, Machine

REPLACE = "import os, sys; open('/shared/e.new', 'w').write(sys.argv[1]); os.rename('/shared/e.new', '/shared/e')"


@pytest.fixture
def shared(machines: list[Machine], server: Machine) -> Iterator[list[Machine]]:
    """vm1 and vm2 have mounted what vm4 serves."""
    for machine in machines[:2]:
        nfs.mount(machine, server)
    yield [*machines[:2], server]
    for machine in machines[:2]:
        machine.power_off()  # a mount that hangs is not worth waiting for


def background(do: Callable[..., Done], *arguments: str, timeout_s: float) -> "queue.Queue[Done]":
    """Something that takes long, in a thread; nothing comes when its machine goes down."""
    results: queue.Queue[Done] = queue.Queue()

    def run() -> None:
        with contextlib.suppress(Failed):
            results.put(do(*arguments, timeout_s=timeout_s))

    threading.Thread(target=run, daemon=True).start()
    return results


def finding(report: dict[str, Any], step: str) -> dict[str, Any]:
    return next(found for found in report["findings"] if found["step"] == step)


def test_two_machines_verify_it_and_the_lock_of_a_dead_machine_is_free_after_the_servers_lease(shared: list[Machine]):
    one, two, _ = shared
    background(two.standfast, "verify", "storage", nfs.DIRECTORY, "--wait", timeout_s=200)
    lead = "standfast verify storage $0 --with vm2 --power-cut --json 2>/tmp/told"
    leading = background(one.shell, lead, nfs.DIRECTORY, timeout_s=300)
    one.until("grep -q 'Cut its power' /tmp/told", timeout_s=150)
    two.power_off()
    done = leading.get(timeout=120)
    assert done.code == 0, done.out + done.err
    report = json.loads(done.out)
    figures.note("NFS: lock of a dead machine is free", lease_s=nfs.LEASE_S, after_s=report["takeover_floor_s"])
    assert report["machines"] == 2
    assert {found["state"] for found in report["findings"]} <= {"fine", "remark"}
    assert nfs.LEASE_S / 2 < report["takeover_floor_s"] < 2 * nfs.LEASE_S


def test_a_stamp_that_another_machine_replaced_is_read_anew_while_a_process_holds_the_old_one(shared: list[Machine]):
    one, two, _ = shared
    one.python(REPLACE, "old")
    two.sh("cat /shared/e; exec 3</shared/e; sleep 100 >/dev/null 2>&1 &")
    one.python(REPLACE, "new")
    assert two.call("cat", "/shared/e").out != "new"  # as the client's cache says: else this would prove nothing
    two.python("from pathlib import Path; from standfast.storage.epoch_file import refresh; refresh(Path('/shared'))")
    assert two.sh("cat /shared/e") == "new"


def test_a_soft_mount_is_refused_and_a_server_that_hangs_is_told_in_time(shared: list[Machine]):
    one, _, server = shared
    probe = (
        "import asyncio, sys, time; from standfast.storage.probe import Prober\n"
        "async def look():\n"
        "    began, prober = time.monotonic(), Prober()\n"
        "    found = await prober.probe('/shared', mount=True); print(found.state, time.monotonic() - began)\n"
        "    prober.close()\n"
        "asyncio.run(look())"
    )
    assert one.python(probe).split()[0] == "ok"
    nfs.mount(one, server, "vers=4.1,soft,timeo=50")
    assert one.python(probe).split()[0] == "unsafe_mount"
    nfs.mount(one, server)
    server.power_off()
    state, took_s = one.python(probe).split()
    assert state == "hung"
    assert float(took_s) < 5
