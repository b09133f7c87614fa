"""The machines are booted once for all tests; each test finds them up, and may leave any of them dead."""

from collections.abc import Iterator

import pytest

from tests.vm.machines import Lab, Machine


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
def machines(lab: Lab) -> list[Machine]:
    """vm1, vm2 and vm3."""
    return lab.machines
