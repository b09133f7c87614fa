"""A member whose spot instance is going to be ended, on a real cluster: left in time, and chosen for nothing."""

from pathlib import Path

import pytest

from standfast.member.control_protocol import Move
from standfast.quorum.signals import Verdict
from tests.real.running import QM, Running, planned
from tests.standins.metadata import metadata

NOTICED = '{"action": "terminate", "time": "2026-01-01T08:22:00Z"}'


async def test_a_spot_notice_leads_to_a_planned_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = planned(tmp_path, {"#follow_notices = false": "follow_notices = true"}, profile="fast")
    with metadata(instance_id="i-1") as service, metadata(instance_id="i-2") as other:
        for name, its in (("a", service), ("b", other), ("w", other)):
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", its.url)
            lab.up([name])
        cluster = Running(lab)
        try:
            await lab.until_whole()
            if await cluster.owner() != "a":
                assert await cluster.order(Move(QM, "a")) is Verdict.DONE
                await lab.until_running(QM, on="a")
            service.items["meta-data/spot/instance-action"] = NOTICED
            await lab.until_running(QM, on="b")
            assert await cluster.order(Move(QM, "a")) is Verdict.TARGET_NOT_ELIGIBLE
            del service.items["meta-data/spot/instance-action"]
            await lab.until(lambda report: not any(m.unfit for m in report.members))
        finally:
            cluster.down()
