"""A queue manager that answers its port and not its protocol, and that forks children which nothing graceful ends.

Started again, moved, given up, with the reason; and nothing of it is left on either member.
"""

import os
import signal
import sys
from pathlib import Path

from standfast.lab.plan import SHARED
from standfast.lab.processes import tree
from standfast.member.control_protocol import Move, StatusReport
from standfast.model.events import EventKind
from standfast.model.records import Phase
from standfast.quorum.signals import Verdict
from tests.managers.broker import command_options, nats_in, nats_server
from tests.real.running import QM, Running, processes_in, started, until

LIMITS = {"port = 4222": "port = 4222\nstart_timeout_s = 2.0\nstop_timeout_s = 1.0\nrestart_limit = 1"}
_STUBBORN = "trap '' TERM HUP INT; sleep 1000"
_START = f"""
if [ -e "$3/deaf" ]; then
    setsid sh -c "{_STUBBORN}" &
    setsid {sys.executable} -m http.server --bind "$1" "$2" &
else
    {nats_server()} --name "$0" -a "$1" -p "$2" -js -sd "$3" &
fi
"""


async def test_one_that_only_seems_to_serve_is_tried_everywhere_given_up_and_leaves_nothing(tmp_path: Path) -> None:
    options = command_options() | {"start": ["/bin/sh", "-c", _START, "{name}", "{address}", "{port}", "{data_dir}"]}
    cluster = await started(tmp_path / "lab", LIMITS, kind="command", options=options)
    try:
        owner = await cluster.owner()
        deaf = cluster.lab.directory / SHARED / QM / "deaf"
        deaf.touch()
        async with cluster.telling() as told:
            os.kill(nats_in(tree([cluster.process(owner)])), signal.SIGKILL)
            report = await cluster.lab.until(_given_up)
        failed = [line.fields for line in told if line.kind == EventKind.QM_FAILED]
        assert {one["owner"] for one in failed} == set(report.queue_managers[0].failed_on) == set(cluster.data)
        assert {one["code"] for one in failed} == {"exit_137", "start_timeout"}
        assert report.queue_managers[0].reason == "start_timeout"  # not how it ended when it was stopped for that
        await until(lambda: _of_queue_manager(cluster) == {})

        deaf.unlink()
        assert await cluster.order(Move(QM, owner)) is Verdict.DONE
        await cluster.lab.until_running(QM, on=owner)
        await cluster.audit()
    finally:
        cluster.down()


def _given_up(report: StatusReport) -> bool:
    return report.queue_managers[0].phase is Phase.GIVEN_UP


def _of_queue_manager(cluster: Running) -> dict[int, str]:
    return {
        pid: told
        for pid, told in processes_in(cluster.lab.directory).items()
        if "sleep 1000" in told or "http.server" in told
    }
