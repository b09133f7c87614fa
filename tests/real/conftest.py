"""Real daemons, real etcd, real brokers. Every test that has a cluster ends with an audit of it."""

from collections.abc import AsyncIterator

import pytest

from tests.real.running import Running


@pytest.fixture
async def cluster(shared: Running) -> AsyncIterator[Running]:
    """The module's cluster, whole; each test leaves it whole, and is audited."""
    await shared.lab.until_whole()
    yield shared
    await shared.audit()
