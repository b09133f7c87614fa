"""Metrics as promtool reads them, what they count, and the rules and the dashboard that rest on them."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import aiohttp
from msgspec import structs

from standfast.endpoints.health import HealthBoard
from standfast.endpoints.metrics_page import MetricsPage
from standfast.member.metrics import CONTENT_TYPE, Metrics
from standfast.model.events import EventKind
from standfast.model.messages import Ack, Refusal
from standfast.ports import LinkCounters, boottime_ns
from tests.alerts.test_catalogue import sample
from tests.cli.stand_in import status_report


def metrics() -> Metrics:
    return Metrics("shop", "b", LinkCounters(sent=7))


def series(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_promtool_finds_nothing_wrong():
    text = metrics().text(status_report())
    assert text.endswith(b"\n")
    told = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")


def test_the_status_is_there():
    found = series(metrics().text(status_report()))
    assert found["standfast_lease_remaining_seconds"] == 2.312
    assert found['standfast_member_state{peer="a",state="online"}'] == 1
    assert found['standfast_member_state{peer="a",state="evicted"}'] == 0
    assert found['standfast_queue_manager_phase{phase="running",queue_manager="orders"}'] == 1
    assert found['standfast_queue_manager_owner{owner="a",queue_manager="orders"}'] == 1
    assert found['standfast_datagrams_total{what="sent"}'] == 7


def test_round_trips_count_once_however_many_links_bring_them_and_refusals_apart():
    made = metrics()
    ack = Ack(sender="a", incarnation=1, sent_ns=boottime_ns() - 3_000_000, term_ns=1)
    for _ in range(2):
        made.message(ack)
    made.message(structs.replace(ack, sent_ns=ack.sent_ns + 1, refusal=next(r for r in Refusal if r)))
    found = series(made.text(status_report()))
    assert found['standfast_heartbeat_round_trip_seconds_count{peer="a"}'] == 1
    assert found['standfast_heartbeat_round_trip_seconds_bucket{le="0.002",peer="a"}'] == 0
    assert sum(value for name, value in found.items() if name.startswith("standfast_heartbeats_refused_total")) == 1


def test_takeovers_and_events_add_up():
    made = metrics()
    event = structs.replace(sample(EventKind.QM_RUNNING), fields={"epoch": 1, "claim_ms": 40.0, "start_ms": 200.0})
    made.told(event)
    made.told(structs.replace(event, fields={"epoch": 1}))  # told again after an unknown outcome: without timings
    found = series(made.text(status_report()))
    assert found['standfast_takeover_seconds_count{queue_manager="orders"}'] == 1
    assert found['standfast_takeover_seconds_sum{queue_manager="orders"}'] == 0.24
    assert found['standfast_events_total{kind="qm_running",severity="info"}'] == 2


async def test_the_health_page_has_them_as_the_main_loop_knows_them():
    board = HealthBoard(address="127.0.83.2", port=0, interval_ns=10**9, stale_after_ns=10**9)
    looks = []
    board.metrics = MetricsPage(CONTENT_TYPE, lambda: looks.append(1) or status_report(), metrics().text)
    board.start()

    async def asked(session: aiohttp.ClientSession) -> bytes:
        async with session.get(f"http://127.0.83.2:{board.port}/metrics") as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            return await answer.read()

    try:
        async with asyncio.timeout(10), aiohttp.ClientSession() as session:
            texts = await asyncio.gather(*(asked(session) for _ in range(20)))
        assert {series(text)["standfast_leased"] for text in texts} == {1}
        assert len(looks) == 1
    finally:
        board.close()


# ---------------------------------------------------------------- what rests on them

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/standfast.rules.yml"
DASHBOARD = DEPLOY / "grafana/standfast.json"


def promtool(*words: object) -> str:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_takes_the_rules_and_each_fires_when_it_must():
    assert promtool("check", "rules", RULES) == ""
    assert promtool("test", "rules", RULES.with_suffix(".test.yml")) == ""


def test_rules_and_dashboard_name_metrics_that_there_are():
    made = metrics()
    made.told(structs.replace(sample(EventKind.QM_RUNNING), fields={"epoch": 1, "claim_ms": 4.0, "start_ms": 2.0}))
    made.message(Ack(sender="a", incarnation=1, sent_ns=1, term_ns=1))
    known = {name.partition("{")[0] for name in series(made.text(status_report()))}
    known |= {line.split()[2] for line in made.text(status_report()).decode().splitlines() if line.startswith("# TYPE")}
    used = {*re.findall(r"standfast_[a-z_]+", RULES.read_text() + DASHBOARD.read_text())}
    assert used - known == set()


def test_the_dashboard_asks_what_prometheus_understands(tmp_path):
    exprs = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    plain = [expr.replace("$__rate_interval", "1m").replace("$job", ".+") for expr in exprs]
    groups = [{"name": "d", "rules": [{"record": f"d:{n}", "expr": expr} for n, expr in enumerate(plain)]}]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": groups}))
    assert promtool("check", "rules", tmp_path / "rules.yml") == ""
