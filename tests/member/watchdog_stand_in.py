"""A stand-in for a watchdog device: what the kernel's watchdog core answers to each ioctl, and when it would reset.

Behind the seam of `watchdog_device`; the descriptor is that of /dev/null. Run as a program in the place of the
interpreter, it puts itself into a real warden and notes each act in a file, for the test to read.
"""

import errno
import json
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

NS_PER_S = 1_000_000_000
SETTINGS = "STAND_IN_WATCHDOG"
ABILITIES = 0x180  # magic close, time-out can be set


def boottime_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class StandInWatchdog:
    """One device.

    Args:
        clock: now, in nanoseconds.
        identity: "Software Watchdog" counts finer than in seconds, others tick.
        lowest_s, grain_s: time-outs below are refused; others are rounded up to the grain.
        no_way_out: it can not be stopped.
        abilities: its option bits.
        pace: how slow its clock is; 1.01 is 1 % too slow.
    """

    def __init__(
        self,
        clock: Callable[[], int] = boottime_ns,
        *,
        identity: str = "Software Watchdog",
        lowest_s: int = 1,
        grain_s: int = 1,
        no_way_out: bool = False,
        abilities: int = ABILITIES,
        pace: float = 1.0,
    ) -> None:
        self._clock = clock
        self._identity, self._lowest_s, self._grain_s = identity, lowest_s, grain_s
        self.no_way_out, self._abilities, self._pace = no_way_out, abilities, pace
        self.broken = False
        """It can not be fed."""
        self.forgives = False
        """A magic character is in force: its holder's death would stop it. Only a write takes it back."""
        self.timeout_s = 60
        self.fires_ns: int | None = None
        self.note: Callable[[str], None] = lambda _: None

    def opened(self) -> None:
        self._feed()

    def _feed(self) -> None:
        self.fires_ns = self._clock() + int(self.timeout_s * NS_PER_S * self._pace)

    def ioctl(self, _fd: int, request: int, argument: bytes) -> bytes:
        answer = {
            0x80285700: self._support,
            0x80045704: self._options,
            0xC0045706: self._set_timeout,
            0x80045707: lambda _: struct.pack("=i", self.timeout_s),
        }[request](argument)
        self.note(request_name(request, argument))
        return answer

    def write(self, _fd: int, content: bytes) -> int:
        if self.broken:
            raise OSError(errno.EIO, "broken")
        self.forgives = content == b"V"
        self._ping()
        self.note("magic" if self.forgives else "feed")
        return len(content)

    def holder_died(self) -> None:
        """Closed by the kernel and not by its holder."""
        if self.forgives and not self.no_way_out:
            self.fires_ns = None

    def _support(self, _argument: bytes) -> bytes:
        return struct.pack("=II32s", self._abilities, 0, self._identity.encode())

    def _options(self, argument: bytes) -> bytes:
        (option,) = struct.unpack("=i", argument)
        if option == 2:
            self._feed()
        elif self.no_way_out:
            raise OSError(errno.EBUSY, "no way out")
        else:
            self.fires_ns = None
        return argument

    def _ping(self) -> None:
        if self.fires_ns is not None:
            self._feed()

    def _set_timeout(self, argument: bytes) -> bytes:
        (wanted_s,) = struct.unpack("=i", argument)
        if wanted_s < self._lowest_s:
            raise OSError(errno.EINVAL, "too short")
        self.timeout_s = -(-wanted_s // self._grain_s) * self._grain_s
        self._ping()
        return struct.pack("=i", self.timeout_s)


def request_name(request: int, argument: bytes) -> str:
    if request == 0x80045704:
        return "start" if argument == struct.pack("=i", 2) else "stop"
    return "set" if request == 0xC0045706 else "ask"


def main() -> None:
    """Run the warden's start-up code, which is the argument of -c, with this device in the place of a real one."""
    code, arguments = sys.argv[sys.argv.index("-c") + 1], sys.argv[sys.argv.index("-c") + 2 :]
    settings = json.loads(os.environ[SETTINGS])
    sys.path.insert(0, arguments[0])
    from standfast.member import watchdog_device

    notes = os.open(settings.pop("notes"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    device = StandInWatchdog(**settings)
    device.note = lambda act: os.write(
        notes, json.dumps({"act": act, "at_ns": boottime_ns(), "fires_ns": device.fires_ns}).encode() + b"\n"
    )
    watchdog_device.ioctl, watchdog_device.write = device.ioctl, device.write
    sys.argv = ["-c", *arguments]
    exec(compile(code, "warden", "exec"), {"__name__": "__main__"})


def notes(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
