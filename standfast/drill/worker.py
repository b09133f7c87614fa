"""The load in a process of its own, so that neither the drill's display nor its faults disturb the rhythm.

``python -m standfast.drill.worker``: first line of the input is LoadSettings; a further line, or the end of the input,
ends the load. Output: one Report per line, the last of which is a LoadRecord or LoadFailed. Exit code 0 with a record.
"""

import asyncio
import os
import signal
import sys

import msgspec

from standfast.drill.load import Load
from standfast.drill.record import LoadFailed, LoadSettings, Report
from standfast.errors import StandfastError


def _say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


async def work() -> int:
    """Run one load as the input says; the exit code."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    settings = msgspec.json.decode(await orders.readline(), type=LoadSettings)
    stop = asyncio.Event()

    async def hear() -> None:
        await orders.readline()
        stop.set()

    hearing = asyncio.create_task(hear())
    try:
        load = Load(settings, _say)
        record = await load.run(stop)
        await load.discard()
    except StandfastError as error:
        _say(LoadFailed(str(error)))
        return error.exit_code
    finally:
        hearing.cancel()
    _say(record)
    return os.EX_OK


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the drill, which then ends its load in order
    sys.exit(asyncio.run(work()))
