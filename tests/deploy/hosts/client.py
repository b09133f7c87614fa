"""A client of the queue manager that writes down when each of its messages was acknowledged.

A program: one message of MQTT (quality of service 1) after the other, to the first of the addresses that lets it in;
a line for each acknowledgement: the moment, in nanoseconds of CLOCK_BOOTTIME.

Usage: client.py PORT USER PASSWORD ADDRESS...
"""

import asyncio
import sys
import time

from aiomqtt import Client, MqttError

PAUSE_S = 0.02
ANSWER_S = 0.5


async def main() -> None:
    """Until it is killed."""
    port, user, password, *addresses = sys.argv[1:]
    while True:
        for address in addresses:
            try:
                at = {"hostname": address, "port": int(port), "username": user, "password": password}
                async with Client(**at, timeout=ANSWER_S, keepalive=2) as client:  # type: ignore[arg-type]
                    while True:
                        await client.publish("tried", b"", qos=1)
                        sys.stdout.write(f"{time.clock_gettime_ns(time.CLOCK_BOOTTIME)}\n")
                        sys.stdout.flush()
                        await asyncio.sleep(PAUSE_S)
            except MqttError:
                await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(main())
