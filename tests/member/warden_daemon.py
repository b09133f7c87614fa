"""A stand-in for the daemon: starts a warden and a queue manager, renews a short lease, writes its end to a file."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import msgspec

from standfast.member.warden_client import Warden
from standfast.member.warden_reports import ClaimOrder, LaunchOrder, TendedOrder
from standfast.ports import boottime_ns


async def main() -> None:
    run_dir, lease_file, tended, *argv = json.loads(sys.argv[1])
    told = os.open(lease_file, os.O_WRONLY | os.O_CREAT)
    warden = await Warden.start(Path(run_dir), Path(run_dir).parent.name, lambda _report: None)
    launched = False
    while True:
        end_ns = boottime_ns() + 600_000_000
        os.pwrite(told, b"%020d" % end_ns, 0)
        warden.lease(end_ns, 200_000_000, 100_000_000)
        if not launched:
            launched = True
            claim = ClaimOrder(path=f"{run_dir}/data", cluster="c1", member="a", incarnation=1)
            order = LaunchOrder(
                qm="orders",
                epoch=1,
                argv=tuple(argv),
                env={},
                cwd="/",
                log=f"{run_dir}/log",
                stop_signal=signal.SIGTERM,
                storage=claim,
                tended=tended and msgspec.convert(tended, TendedOrder),
            )
            warden.launch(order)
        await asyncio.sleep(0.02)


asyncio.run(main())
