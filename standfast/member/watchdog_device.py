"""A Linux watchdog device: opened, set, started, fed, stopped; and what the kernel says of it without opening it.

Guarantees: `stop` returns only when the kernel said that the device has stopped; whatever ends the process that holds a
started device leaves it running, so that the machine is reset (`take` refuses devices that stop when they are closed).
Opening starts a device at once, with whatever time-out it has: `take` therefore looks at what can be seen from outside
first, and stops it as its first act. A magic character outlives its writer: one that was written to a stopped device
would let the next holder's death stop it. So this one is written only to a device that runs, and each feed is a write,
which takes an old one back; the ioctl that feeds does not (seen with Linux 6.1).

Source: the kernel's watchdog-api.rst and include/uapi/linux/watchdog.h; ioctl numbers as on x86 and ARM. Standard
library only.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from standfast.errors import MachineError

_GETSUPPORT, _SETOPTIONS, _SETTIMEOUT, _GETTIMEOUT = 0x80285700, 0x80045704, 0xC0045706, 0x80045707
_DISABLECARD, _ENABLECARD = 1, 2
_CARDRESET = 0x20
_NEEDED = {0x80: "SETTIMEOUT", 0x100: "MAGICCLOSE"}
_FOOD = b"\0"
_MAGIC = b"V"
_SUPPORT = struct.Struct("=II32s")
_INT = struct.Struct("=i")
_LEGACY = (10, 130)
"""Major and minor number of /dev/watchdog: the first device under its old name."""
_FINE = frozenset({"Software Watchdog"})
"""Identities of devices known to count finer than in seconds: softdog uses the kernel's high-resolution timers."""
_SYS = Path("/sys")

ioctl = fcntl.ioctl
write = os.write
"""The seam: a stand-in for a device replaces these two and nothing else."""


class Traits(NamedTuple):
    """What the kernel shows of a device without opening it.

    Attributes:
        identity: the driver's name for it.
        no_way_out: once started it can not be stopped.
        active: somebody has started it.
        card_reset: the last boot was its doing, as far as the hardware tells; softdog does not.
    """

    identity: str
    no_way_out: bool
    active: bool
    card_reset: bool


def traits(path: str) -> Traits | None:
    """Of that device; None when the kernel shows nothing of it; raises MachineError when it is no device."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise MachineError(
            f"There is no {path} ({error.strerror}): load the driver of this machine's watchdog, or softdog."
        ) from error
    if not stat.S_ISCHR(status.st_mode):
        raise MachineError(f"{path} is no device: name one such as /dev/watchdog0.")
    numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
    shown = _SYS / ("class/watchdog/watchdog0" if numbers == _LEGACY else f"dev/char/{numbers[0]}:{numbers[1]}")
    try:
        return Traits(
            identity=_read(shown / "identity"),
            no_way_out=_read(shown / "nowayout") == "1",
            active=_read(shown / "state") == "active",
            card_reset=bool(int(_read(shown / "bootstatus"), 0) & _CARDRESET),
        )
    except (OSError, ValueError):
        return None


def _read(file: Path) -> str:
    return file.read_text().strip()


class Device:
    """An open watchdog device. Made by `take`; raises OSError where the kernel refuses.

    Attributes:
        path: of the device.
        identity: the driver's name for it.
        fine: whether it counts finer than in seconds.
        stops: whether it could be stopped; if not (nowayout), it resets the machine unless it is fed for ever.
        lacks: abilities that it should have.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self.stops = self._stopped()
            support, _, identity = _SUPPORT.unpack(ioctl(self._fd, _GETSUPPORT, bytes(_SUPPORT.size)))
        except OSError:
            self.let_go()
            raise
        self.lacks = [name for bit, name in _NEEDED.items() if not support & bit]
        self.identity = identity.split(b"\0")[0].decode(errors="replace")
        self.fine = self.identity in _FINE

    def _stopped(self) -> bool:
        try:
            self.stop()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    @property
    def timeout_s(self) -> int:
        """The time-out in force, in seconds; 0 when the driver does not say."""
        try:
            return int(_INT.unpack(ioctl(self._fd, _GETTIMEOUT, bytes(_INT.size)))[0])
        except OSError:
            return 0

    def set(self, timeout_s: int) -> int:
        """Set the time-out; the one that the driver made of it. Of a started device this feeds it, too."""
        return int(_INT.unpack(ioctl(self._fd, _SETTIMEOUT, _INT.pack(timeout_s)))[0])

    def start(self) -> None:
        """From now on it resets the machine when it is not fed in time."""
        ioctl(self._fd, _SETOPTIONS, _INT.pack(_ENABLECARD))
        self.feed()

    def feed(self) -> None:
        """Begin the time-out anew."""
        write(self._fd, _FOOD)

    def stop(self) -> None:
        """It does nothing more."""
        ioctl(self._fd, _SETOPTIONS, _INT.pack(_DISABLECARD))

    def drop(self) -> None:
        """Close it as it is: a started one goes on and resets the machine."""
        os.close(self._fd)

    def let_go(self) -> None:
        """Stop and close it; the magic character is the last resort. Raises nothing."""
        try:
            self.stop()
        except OSError:
            with contextlib.suppress(OSError):
                write(self._fd, _MAGIC)
        finally:
            os.close(self._fd)


def take(path: str) -> Device:
    """Open a device that can do its duty, and stop it; raises MachineError that says why not."""
    seen = traits(path)
    if seen and seen.no_way_out:
        raise MachineError(
            f"{path} ({seen.identity}) can not be stopped once started (nowayout), so that each clean stop would reset "
            f"this machine: load its driver with nowayout=0."
        )
    try:
        device = Device(path)
    except OSError as error:
        raise MachineError(
            f"{path} can not be used: {error.strerror}. {_ADVICE.get(error.errno or 0, _OTHER)}"
        ) from error
    if device.stops and device.lacks:
        device.let_go()
        raise MachineError(
            f"{path} ({device.identity}) lacks {', '.join(device.lacks)}: it would fall silent with the process that "
            f"it is to watch, or could not be set. Use another driver, or softdog."
        )
    return device


_ADVICE = {
    errno.EBUSY: "Another process has it (systemd's RuntimeWatchdogSec= or a watchdog daemon): end that, or name "
    "another device such as /dev/watchdog1.",
    errno.EACCES: "Run Standfast as root, or let its user write to the device.",
    errno.EPERM: "Run Standfast as root, or let its user write to the device.",
}
_OTHER = "Look at the kernel log of this machine."
