"""RabbitMQ as the queue manager of a real cluster."""

from tests.real.running import QM, Running, until


async def noted(cluster: Running, queue: str) -> None:
    """Until it would find a quorum queue that was just declared again after a crash."""
    (names,) = cluster.lab.directory.glob(f"shared/{QM}/rabbitmq/node/quorum/*/names.dets")
    await until(lambda: saved(names.read_bytes(), queue.encode()))


def saved(dets: bytes, name: bytes) -> bool:
    """Whether that name is in such a file, whose third word says whether all of its table is in it (OTP, dets_v9)."""
    return dets[8:12] == b"\0\0\0\1" and name in dets
