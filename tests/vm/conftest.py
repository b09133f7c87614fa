"""The machines are booted once for all tests; each test finds them up, and may leave any of them dead."""

from collections.abc import Generator, Iterator

import pytest

from tests.vm import figures, nfs
from tests.vm.cluster import NAMES, Cluster
from tests.vm.machines import Lab, Machine

LOG = 3000
"""Characters of a daemon's log that are shown."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the daemons said, with a test that failed."""
    report = yield
    cluster = item.funcargs.get("cluster")
    if report.failed and call.when == "call" and isinstance(cluster, Cluster):
        report.sections += [(f"member {name}", cluster.log(name)[-LOG:]) for name in NAMES if cluster.machines[name].up]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, a JSON object a line."""
    for line in figures.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def booted() -> Iterator[Lab]:
    lab = Lab()
    try:
        lab.power_on()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def lab(booted: Lab) -> Lab:
    """Every machine is up and has its cable."""
    booted.power_on()
    for machine in booted.machines:
        booted.plug(machine)
    return booted


@pytest.fixture
def server(booted: Lab) -> Machine:
    """vm4, which serves NFS."""
    nfs.serve(booted.server)
    return booted.server


@pytest.fixture
def machines(lab: Lab) -> list[Machine]:
    """vm1, vm2 and vm3."""
    return lab.machines
