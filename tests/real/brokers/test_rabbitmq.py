"""What is particular to RabbitMQ: no epmd, so that several run side by side; and no login that everybody knows."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from msgspec import structs

from standfast.managers.rabbitmq import CONTROL, RabbitMq
from standfast.ports import NotReady
from tests.managers.broker import place_for, started


async def test_two_run_side_by_side_without_epmd_and_guest_is_let_in_only_where_nobody_else_is_named(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    rabbitmq, secret = RabbitMq(), tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    one, two = (place_for(rabbitmq, tmp_path / name, name) for name in ("one", "two"))
    async with started(rabbitmq, one) as first, started(rabbitmq, two) as second:
        await first.ready()
        await second.ready()
        # What RabbitMQ does once a minute, so that there is an epmd.
        await _asked(one.run_dir / CONTROL, "eval", "rabbit_nodes_common:ensure_epmd().")
        assert _programs_of(tmp_path) >= {"beam.smp"}
        assert "epmd" not in _programs_of(tmp_path)
        with pytest.raises(NotReady):  # each is known by its name
            await rabbitmq.ready(structs.replace(one, port=two.port), 5.0)
        for place in (one, two):  # each answers its own script
            assert f"Cluster name: {place.name}" in await _asked(place.run_dir / CONTROL, "cluster_status")
        await first.stop()

    named = structs.replace(one, options={**one.options, "user": "shop", "password_file": str(secret)})
    async with started(rabbitmq, named) as again:
        await again.ready()
        with pytest.raises(NotReady):  # guest was there before
            await rabbitmq.ready(one, 5.0)


def _programs_of(root: Path) -> set[str]:
    """Of all processes that were started for something below a directory, also those that left their parents."""
    found = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if str(root).encode() in environ.read_bytes():
                found.add((environ.parent / "comm").read_text().strip())
    return found


async def _asked(script: Path, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", script, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    return printed.decode()
