"""Labs with any number of members and queue managers, the latter small programs that accept connections."""

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

from msgspec import structs

from standfast.clusterfile.written import written
from standfast.errors import MachineError
from standfast.lab.lab import Lab
from standfast.lab.plan import CLUSTER_FILE, SHARED, plan
from standfast.member.report import StatusReport
from standfast.model.cluster import Cluster
from standfast.model.records import Phase

FIRST_PORT = 21_000
LONGEST_S = 300.0
"""Longest wait until all of them run."""
LOOK_EVERY_S = 0.25
DATA, WITNESSES = "abcdefg", "wvuts"
SHARES = {3: 2, 5: 3, 7: 4}
"""Data members of a cluster of so many."""
PROGRAM = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=64) as server:
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(b"here\\n")
"""


def fleet(
    directory: Path,
    members: int,
    count: int,
    profile: str,
    *,
    first: int | None = None,
    at_once: int | None = None,
    api: bool = False,
) -> Lab:
    """A lab of so many members and queue managers; `first`: so many of these prefer `a`, else they are spread."""
    start = [sys.executable, "-I", "-S", "-c", PROGRAM, "{address}", "{port}"]
    cluster = plan(
        directory,
        name="fleet",
        data=DATA[: SHARES[members]],
        witnesses=WITNESSES[: members - SHARES[members]],
        profile=profile,
        kind="command",
        queue_manager="q0000",
        options={"start": start, "foreground": True},
        api=api,
    )
    specs = tuple(_spec(cluster, directory, n, preferred=first is not None and n < first) for n in range(count))
    policy = cluster.policy if at_once is None else structs.replace(cluster.policy, starts_at_once=at_once)
    text = written(structs.replace(cluster, queue_managers=specs, policy=policy))
    (directory / CLUSTER_FILE).write_text(text, encoding="utf-8")
    return Lab(directory)


def _spec(cluster: Cluster, directory: Path, n: int, *, preferred: bool) -> Any:
    like, name = cluster.queue_managers[0], f"q{n:04}"
    return structs.replace(
        like,
        name=name,
        port=FIRST_PORT + n,
        preferred=("a",) if preferred else (),
        storage=structs.replace(like.storage, path=str(directory / SHARED / name)),
    )


async def all_run(lab: Lab, asking: str = "a") -> StatusReport:
    """Wait until all of them run, by the word of one member, who is not asked so often that it would cost."""
    count = len(lab.cluster.queue_managers)
    until_s = time.monotonic() + LONGEST_S
    while time.monotonic() < until_s:
        report = await lab.knows(asking)
        if (
            report is not None
            and [qm.phase for qm in report.queue_managers if not qm.target] == [Phase.RUNNING] * count
        ):
            return report
        await asyncio.sleep(LOOK_EVERY_S)
    raise MachineError(f"Not all of {count} run after {LONGEST_S:g} s, as {asking} sees it.")


def numbers(text: str, names: dict[str, str]) -> dict[str, float]:
    """Of a page in Prometheus' format: the sum over each of these names with any labels, by what it is called here."""
    return {
        called: sum(map(float, re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)))
        for called, name in names.items()
    }


async def answers(address: str, port: int) -> bool:
    """Whether the queue manager there says its word."""
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    try:
        return await reader.readline() == b"here\n"
    except OSError:
        return False
    finally:
        writer.transport.abort()
