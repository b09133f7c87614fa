from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from standfast.stores.etcd import Etcd
from standfast.stores.etcd_http import Patience
from tests.stores.etcds import Etcds, cluster_of, octets

PATIENCE = Patience(operation_s=3.0, try_s=0.5, hedge_s=0.1)


@pytest.fixture(scope="module")
def etcds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcds]:
    """Three members, all running."""
    members = Etcds(tmp_path_factory.mktemp("etcds"), cluster_of(octets()))
    try:
        members.start()
        yield members
    finally:
        members.stop()


@pytest.fixture
async def etcd(etcds: Etcds) -> AsyncIterator[Etcd]:
    """A client with keys of its own."""
    client = Etcd(f"t-{uuid4().hex}", etcds.endpoints, patience=PATIENCE)
    yield client
    await client.close()
