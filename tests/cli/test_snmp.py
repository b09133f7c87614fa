"""The status over SNMP: a real snmpwalk asks a real snmpd, which asks us."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from standfast.alerts.mib import MEMBER, QM, ROOT, STATUS, TOLD
from standfast.cli import snmp as command
from standfast.member.mib_status import instances
from standfast.model.records import MemberState, Phase
from tests.alerts.receivers import HOST, free_port
from tests.cli.stand_in import member_report, qm_report, status_report

MIBS = (Path(__file__).parents[1] / "alerts/mibs", Path(__file__).parents[2] / "deploy/snmp")
SERVE = """
import sys
from tests.cli.stand_in import status_report
from standfast.cli import snmp
table = snmp.Table(None, snmp.parsed(snmp.ROOT))
async def status(): return status_report()
table._status = status
for answer in snmp.answers(table, sys.stdin):
    sys.stdout.write(answer); sys.stdout.flush()
"""


class Known(command.Table):
    def __init__(self, report) -> None:
        super().__init__(None, command.parsed(ROOT))
        self.report = report

    async def _status(self):
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


def said(table: command.Table, *lines: str) -> list[str]:
    return list(command.answers(table, [f"{line}\n" for line in lines]))


def walked(table: command.Table) -> list[str]:
    found, at = [], f".{ROOT}"
    while (answer := said(table, "getnext", at)[0]) != "NONE\n":
        found.append(answer)
        at = answer.splitlines()[0]
    return found


def test_a_walk_meets_every_object_of_the_mib_in_order():
    report = status_report()
    found = walked(Known(report))
    assert len(found) == len(instances(report, 0))
    columns = {tuple(answer.split("\n")[0].split(".")[-4:-1]) for answer in found}
    members, managers = len(MEMBER) - 1, len(QM) - 1
    assert len(found) == len(STATUS) + members * len(report.members) + managers * len(report.queue_managers)
    assert len(columns) == len({*columns})


@pytest.mark.parametrize("state", [*MemberState, None])
def test_every_state_has_a_number_that_the_mib_knows(state):
    report = status_report(members=(member_report("b", state=state),))
    number = next(i.value for i in instances(report, 0) if i.oid == (2, 6, 1, 4, 1))
    syntax = next(one.syntax for one in MEMBER if one.name == "sfMemberState")
    assert f"({number})" in syntax


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_a_number_that_the_mib_knows(phase):
    report = status_report(queue_managers=(qm_report("orders", phase=phase),))
    number = next(i.value for i in instances(report, 0) if i.oid == (2, 7, 1, 4, 1))
    assert f"({number})" in next(one.syntax for one in QM if one.name == "sfQmPhase")


def test_nothing_can_be_set_and_nonsense_is_answered_or_passed_over():
    table = Known(status_report())
    assert said(table, "PING", "set", f".{ROOT}.2.1.0", "string x", "sing", "get", "x.y") == [
        "PONG\n",
        "not-writable\n",
        "NONE\n",
    ]


def test_a_member_that_does_not_answer_has_no_values():
    assert said(Known(OSError("gone")), "getnext", f".{ROOT}") == ["NONE\n"]


def test_a_real_snmpwalk_reads_the_tables_by_their_names(tmp_path):
    port = free_port()
    (tmp_path / "serve.py").write_text(SERVE)
    program = f"{sys.executable} {tmp_path}/serve.py"
    (tmp_path / "snmpd.conf").write_text(
        f"agentAddress udp:{HOST}:{port}\nrocommunity public\npass_persist .{ROOT} {program}\n"
    )
    for folder in MIBS:
        for file in folder.iterdir():
            shutil.copy(file, tmp_path)
    env = {**os.environ, "SNMP_PERSISTENT_DIR": str(tmp_path), "MIBS": "", "PYTHONPATH": str(Path.cwd())}
    agent = subprocess.Popen(
        [
            "snmpd",
            "-f",
            "-Lf",
            str(tmp_path / "log"),
            "-C",
            "-c",
            str(tmp_path / "snmpd.conf"),
        ],
        env=env,
        stdin=subprocess.DEVNULL,
    )
    walk = ["snmpwalk", "-v2c", "-c", "public", "-t", "1", "-r", "1", "-M", str(tmp_path), "-m", "STANDFAST-MIB"]
    try:
        until_s = time.monotonic() + 20
        while "sfMemberName" not in (told := walked_by(walk, port, env)):
            assert time.monotonic() < until_s, told + (tmp_path / "log").read_text()
    finally:
        agent.kill()
        agent.wait()
    assert "STANDFAST-MIB::sfClusterName.0 = STRING: shop" in told
    assert "STANDFAST-MIB::sfMemberState.1 = INTEGER: online(1)" in told
    assert "STANDFAST-MIB::sfMemberLeaseLeft.2 = INTEGER: 2312" in told
    assert "STANDFAST-MIB::sfQmPhase.1 = INTEGER: running(4)" in told


def walked_by(walk: list[str], port: int, env: dict[str, str]) -> str:
    done = subprocess.run(
        [*walk, f"{HOST}:{port}", f".{ROOT}"], env=env, capture_output=True, text=True, check=False, timeout=20
    )
    return done.stdout


def test_what_is_only_told_is_not_walked():
    assert {one.number for one in TOLD} == {*range(1, len(TOLD) + 1)}
