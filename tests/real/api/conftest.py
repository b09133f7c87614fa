"""One cluster with its APIs for all tests in this folder."""

from collections.abc import Iterator

import pytest

from standfast.tokens import Right
from tests.real.api.asking import Person, person, serving
from tests.real.running import Running, lasting


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Iterator[Running]:
    yield from lasting(serving(tmp_path_factory.mktemp("api")))


@pytest.fixture(scope="session")
def viewer(shared) -> Person:
    return person(shared, "wall", Right.VIEWER)


@pytest.fixture(scope="session")
def operator(shared) -> Person:
    return person(shared, "alice", Right.OPERATOR)
