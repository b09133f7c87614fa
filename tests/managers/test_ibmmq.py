"""IBM MQ, by stand-ins for its programs: its words and codes, a second machine, its end, its first configuration."""

import asyncio
import json
import socket
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from standfast.disposable import bare_python
from standfast.lab.processes import await_end
from standfast.managers import ibmmq_child
from standfast.managers.ibmmq import IbmMq
from standfast.managers.ibmmq_child import (
    EXIT_LOG_ELSEWHERE,
    EXIT_NOT_CONFIGURED,
    EXIT_NOT_KNOWN,
    EXIT_PORT_TAKEN,
    SECRETS,
    end_leftovers,
    processes_of,
)
from standfast.managers.ibmmq_words import ENDMQM, STATUS_CODES, STATUSES, STRMQM, Standing, standing, status_of
from standfast.member.minder import EXIT_STOP_OVER
from standfast.member.warden_protocol import Cause
from standfast.member.warden_reports import Exited, Launched, TendedOrder
from standfast.ports import STATUS_FILE, Place, boottime_ns
from tests.managers.broker import place_for, started
from tests.managers.witness import WITNESSES
from tests.member.warden_stage import stage_for, until
from tests.standins import ibmmq

MQ, WITNESS = IbmMq(), WITNESSES["ibmmq"]
SAMPLE = """QMNAME(QM10)                                              STATUS(Running)
    INSTANCE(host1) MODE(Active)
QMNAME(QM1) STATUS(ENDED PRE-EMPTIVELY) DEFAULT(no) STANDBY(Not permitted) INSTANCE() INSYNC()
    INSTANCE(host2) MODE(Standby)
"""


def name_of(place: Place) -> str:
    return str(place.options["queue_manager"])


def fail(place: Place, **faults: object) -> None:
    (Path(str(place.options["installation"])) / "faults").write_text(json.dumps(faults))


async def child(place: Place, action: str) -> tuple[int, str]:
    """What a minder would run; exit code and output."""
    tended = MQ.launch(place)
    argv = tended.argv if action == "start" else tended.tended.status
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


def run_by_hand(strmqm: Path, name: str) -> tuple[list[int], subprocess.Popen[bytes]]:
    """Nobody's children: those of a queue manager that somebody started, and of one with a longer name."""
    subprocess.run([strmqm, name], check=True, capture_output=True)
    other = ["amqzmuc0", "-c", "print(flush=True); input()", "-m", f"{name}0"]
    namesake = subprocess.Popen(other, executable=ibmmq.PYTHON, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert namesake.stdout is not None
    namesake.stdout.readline()  # until then it may have no command line yet
    return processes_of(name), namesake


async def created(place: Place) -> None:
    """It exists, and does not run."""
    async with started(MQ, place) as broker:
        await broker.ready()
        await broker.stop()


# ---------------------------------------------------------------- words and codes


def test_each_status_is_read_as_documented_however_it_is_written() -> None:
    assert status_of(SAMPLE, "QM1") == "ENDED PRE-EMPTIVELY"
    assert status_of(SAMPLE, "QM") == ""
    for word, means in STATUSES.items():
        assert standing(word) is standing(f" {word.title()} ") is means
    assert standing("Ended pre-emptively") is standing("Ended preemptively") is Standing.GONE
    assert standing("") is standing("Something new") is Standing.UNKNOWN
    assert {means for means in Standing if STATUS_CODES[means] == 0} == {Standing.SERVES}
    assert set(STATUS_CODES) == set(Standing)


async def test_what_dspmq_says_becomes_an_exit_code(tmp_path: Path) -> None:
    place = place_for(MQ, tmp_path)
    await created(place)
    for word, means in (
        ("Running", Standing.UNKNOWN),  # it only says so: nothing answers PING QMGR
        ("Running elsewhere", Standing.ELSEWHERE),
        ("Ended unexpectedly", Standing.GONE),
    ):
        fail(place, status=word)
        assert (await child(place, "status"))[0] == STATUS_CODES[means], word


async def test_a_code_of_strmqm_that_is_no_start_fails_the_start(tmp_path: Path) -> None:
    place = place_for(MQ, tmp_path)
    await created(place)
    for code in (24, 30, 77):
        fail(place, strmqm=code)
        failed, output = await child(place, "start")
        assert failed == code
        assert STRMQM[code].meaning in output if code in STRMQM else str(code) in output


def test_a_standby_or_a_replica_is_no_start_here() -> None:
    assert {code for code, meant in STRMQM.items() if meant.good} == {0, 1}
    assert {code for code, meant in ENDMQM.items() if meant.good} == {0, 16, 40}


# ---------------------------------------------------------------- its life


async def test_a_second_machine_learns_from_the_storage_where_it_is(tmp_path: Path) -> None:
    first = place_for(MQ, tmp_path)
    async with started(MQ, first) as broker:
        await broker.ready()
        await WITNESS.store(first, [b"kept"])
        await broker.kill()
    other_machine = str(ibmmq.install(tmp_path / "other"))
    second = structs.replace(first, options={**first.options, "installation": other_machine, "create": False})
    async with started(MQ, second) as broker:
        await broker.ready()
        assert await WITNESS.stored(second, 1) == [b"kept"]


async def test_one_that_nobody_knows_is_not_created_unasked(tmp_path: Path) -> None:
    place = place_for(MQ, tmp_path, create=False)
    async with started(MQ, place) as broker:
        assert await broker.process.wait() == EXIT_NOT_KNOWN


async def test_what_is_left_of_it_on_this_machine_is_ended_first_and_that_of_its_namesakes_is_not(
    tmp_path: Path,
) -> None:
    place = place_for(MQ, tmp_path)
    await created(place)
    name = name_of(place)
    strmqm = Path(str(place.options["installation"])) / "bin" / "strmqm"
    by_hand, namesake = await asyncio.to_thread(run_by_hand, strmqm, name)
    try:
        assert len(by_hand) == 1 + len(ibmmq.HELPERS)
        assert processes_of(f"{name}0") == [namesake.pid]
        async with started(MQ, place) as broker:
            await broker.ready()
            assert await_end(by_hand, 0)
            assert namesake.poll() is None
    finally:
        namesake.kill()
        namesake.wait()


@pytest.mark.parametrize(("hangs", "code"), [(["-i"], 0), (["-i", "-p"], EXIT_STOP_OVER)])
async def test_an_end_that_hangs_is_made_preemptive_and_then_given_up(
    tmp_path: Path, hangs: list[str], code: int
) -> None:
    place = place_for(MQ, tmp_path)
    async with started(MQ, place, stop_s=2.0) as broker:
        await broker.ready()
        fail(place, hangs=hangs)
        took_s = await broker.stop()
        assert broker.process.returncode == code
        assert took_s > 1.1
    end_leftovers(name_of(place))  # there is no warden here that would
    assert processes_of(name_of(place)) == []


async def test_nothing_of_it_outlives_the_lease(tmp_path: Path) -> None:
    async with stage_for("myself") as stage:
        place, run_dir = place_for(MQ, tmp_path), tmp_path / "run"
        launch = MQ.launch(place)
        served = ("/bin/sh", "-c", f'"$@" && touch {run_dir}/served', "sh", *launch.tended.status)
        tended = TendedOrder(
            how=structs.replace(launch.tended, status=served),
            stop_s=10,
            hurry_s=0.2,
            status_file=str(run_dir / STATUS_FILE),
        )
        stage.lease(60_000)
        claim = stage.claim(path=str(place.data_dir))
        stage.warden.launch(stage.order(argv=launch.argv, env=launch.env, tended=tended, storage=claim))
        await stage.report(Launched)
        await until((run_dir / "served").exists)
        fail(place, hangs=["-i", "-p"])
        end_ns = stage.lease(900, stop_ms=500, kill_ms=200)
        exited = await stage.report(Exited)
        assert exited.cause is Cause.LEASE
        assert boottime_ns() < end_ns
        assert processes_of(name_of(place)) == []


# ---------------------------------------------------------------- its settings


async def test_a_log_that_is_not_on_the_claimed_storage_refuses_the_start(tmp_path: Path) -> None:
    place = place_for(MQ, tmp_path)
    await created(place)
    (ini,) = place.data_dir.glob("qmgrs/*/qm.ini")
    ini.write_text(f"Log:\n   LogPath={tmp_path}/elsewhere/\n")
    code, output = await child(place, "start")
    assert code == EXIT_LOG_ELSEWHERE
    assert "elsewhere" in output


async def test_its_first_configuration_is_done_once_with_secrets_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "first.mqsc"
    script.write_text("DEFINE QLOCAL(ORDERS)\nALTER AUTHINFO(LDAP) LDAPPWD('{secret:ldap}')\n")
    place = place_for(MQ, tmp_path, mqsc=str(script))
    assert await MQ.examine(place) == []
    for _ in range(2):
        async with started(MQ, place) as broker:
            await broker.ready()
            output = await broker.output()
            await broker.stop()
    (done,) = place.data_dir.glob("qmgrs/*/mqsc")
    carried_out = [line for line in done.read_text().splitlines() if not line.startswith("PING")]
    secret = json.loads((place.data_dir / SECRETS).read_text())["ldap"]
    assert carried_out == ["DEFINE QLOCAL(ORDERS)", f"ALTER AUTHINFO(LDAP) LDAPPWD('{secret}')"]
    assert len(secret) >= 32
    assert (place.data_dir / SECRETS).stat().st_mode & 0o777 == 0o600
    assert secret not in output


async def test_a_configuration_that_fails_is_no_start(tmp_path: Path) -> None:
    script = tmp_path / "first.mqsc"
    script.write_text("DEFINE QLOCAL(ORDERS)\nNONSENSE\n")
    async with started(MQ, place_for(MQ, tmp_path, mqsc=str(script))) as broker:
        assert await broker.process.wait() == EXIT_NOT_CONFIGURED


async def test_a_password_in_plain_words_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "first.mqsc"
    for line, severe in (("LDAPPWD('passw0rd')", [True]), ("LDAPPWD('{secret:x}')", []), ("LDAPPWD(' ')", [])):
        script.write_text(f"ALTER AUTHINFO(LDAP) {line}\n")
        assert [one.severe for one in await MQ.examine(place_for(MQ, tmp_path, mqsc=str(script)))] == severe


async def test_a_listener_on_one_address_is_no_way_for_clients_of_a_virtual_ip(tmp_path: Path) -> None:
    script = tmp_path / "first.mqsc"
    place = place_for(MQ, tmp_path, mqsc=str(script))
    for given, remarks in (("PORT(1414)\nIPADDR('10.0.0.1')", 1), ("IPADDR(' ') PORT(1414)", 0), ("PORT(1414)", 0)):
        script.write_text(f"DEFINE LISTENER(CLIENTS) TRPTYPE(TCP) {given}\n")
        assert await MQ.examine(place) == []
        assert len(await MQ.examine(structs.replace(place, everywhere=True))) == remarks, given


async def test_a_port_that_is_taken_on_any_address_refuses_the_start_when_it_needs_all(tmp_path: Path) -> None:
    place = structs.replace(place_for(MQ, tmp_path), everywhere=True)
    with socket.create_server(("127.0.42.2", place.port)):
        async with started(MQ, place) as broker:
            assert await broker.process.wait() == EXIT_PORT_TAKEN


def test_a_standby_that_would_start_without_a_lease_can_not_be_had(tmp_path: Path) -> None:
    assert len(MQ.problems(place_for(MQ, tmp_path, standby=True))) == 1
    assert "-x" not in json.dumps(MQ.launch(place_for(MQ, tmp_path)).argv)
    assert len(MQ.problems(place_for(MQ, tmp_path, queue_manager="no name"))) == 1


async def test_a_user_that_does_not_exist_is_told(tmp_path: Path) -> None:
    assert [one.severe for one in await MQ.examine(place_for(MQ, tmp_path, run_as="nobody-at-all"))] == [True]


def test_the_child_finds_its_module_without_site_packages() -> None:
    argv = bare_python(ibmmq_child.__name__, "nonsense", "{}")
    assert subprocess.run(argv, check=False, capture_output=True).returncode == 1  # KeyError, not ImportError
