"""Sinks come and go while the cluster runs; a courier that dies is replaced, and one that hangs holds up nobody."""

import asyncio
from pathlib import Path

from standfast.lab.processes import tree
from standfast.member.alert_protocol import AlertReport, TestAlert
from standfast.member.control_client import ControlClient
from standfast.member.control_protocol import Status
from standfast.member.report import StatusReport
from standfast.model.events import EventKind
from tests.alerts.receivers import Web
from tests.real.alerts.stage import WITHIN_S, table
from tests.real.running import Running, standfast, started, until


def couriers(running: Running) -> dict[str, int]:
    """By member."""
    found = {}
    for name, node in running.lab.nodes.items():
        for pid in tree([node.pid] if node.pid else []):
            if b"standfast.member.courier" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found[name] = pid
    return found


async def told(hook: Web, kind: EventKind, subject: str) -> None:
    def here(event: dict) -> bool:
        return (event["type"], event["subject"]) == (f"standfast.{kind}", subject)

    async with asyncio.timeout(WITHIN_S):
        while not any(map(here, await hook.events())):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def configured(running: Running, file: Path, more: str) -> None:
    """Let the configuration in force have that at its end."""
    socket = running.lab.sockets[running.witness]
    shown = standfast("config", "show", "--toml", "--socket", socket)
    file.write_text(shown.stdout.partition("[[sink]]")[0] + more)
    done = standfast("config", "apply", file, "--yes", "--socket", socket)
    assert done.returncode == 0, done.stderr


async def test_sinks_change_live_and_the_courier_is_replaced(tmp_path):
    running = await started(tmp_path / "lab")
    hook = Web(tmp_path / "hook")
    await hook.prepare()
    try:
        assert couriers(running) == {}  # nothing to carry
        await asyncio.to_thread(configured, running, tmp_path / "with.toml", table(hook.spec()))
        await until(lambda: len(couriers(running)) == 3)
        await told(hook, EventKind.SETTINGS_CHANGED, "settings")

        # Killed: another one comes, and tells what happened meanwhile.
        before = couriers(running)
        running.lab.nodes[running.witness].kill_process(before[running.witness])
        await asyncio.to_thread(standfast, "drain", "b", "--socket", running.lab.sockets[running.witness])
        await told(hook, EventKind.MEMBER_DRAINED, "b")
        assert couriers(running)[running.witness] != before[running.witness]

        # Stopped: the member answers, keeps its lease, and says of the courier that it does not answer.
        with running.stopped(couriers(running)["a"]):
            async with ControlClient(running.lab.sockets["a"], 30.0) as member:
                tried = await member.ask(TestAlert("hook"), AlertReport)
                status = await member.ask(Status(), StatusReport)
        assert [bool(one.detail) for one in tried.tried] == [True]
        assert next(m for m in status.members if m.name == "a").leased

        await asyncio.to_thread(configured, running, tmp_path / "without.toml", "")
        async with ControlClient(running.lab.sockets["a"], 30.0) as member:
            assert (await member.ask(Status(), StatusReport)).sinks == ()
        await until(lambda: couriers(running) == {})
    finally:
        await hook.close()
        running.down()
