"""What of a machine stands in the way of a queue manager that is not there yet: its port, its memory, its version.

Looks at what the kernel tells of this machine, and binds nothing itself: a queue manager may be about to.
"""

import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from standfast.member.listeners import ANY, Listeners
from standfast.model.choices import VersionRule
from standfast.model.cluster import QueueManagerSpec
from standfast.ports import Place

PROC = Path("/proc")
MB = 1_000_000


class Why(StrEnum):
    """Kinds of reasons for which a member could not run a queue manager; `why` of the event standby_unready."""

    PROGRAM = "program"  # its program, an option, or what the driver finds in the way
    STORAGE = "storage"  # can not be reached, written or claimed; or too little is free there
    COPY = "copy"  # this member's copy of replicated data is not current
    PORT = "port"  # something else listens there
    MEMORY = "memory"  # too little is available
    VERSION = "version"  # the program's is not one that may follow the last owner's
    ENDPOINT = "endpoint"  # what leads clients there could not be set up


class Trouble(NamedTuple):
    """What stands in the way; an empty detail: nothing."""

    why: Why
    detail: str


def port_trouble(place: Place, found: Listeners) -> str:
    """Why it could not listen where it must; `found`: everything that listens on this machine, and is not it."""
    there = found.get(place.port)
    if not there or not (place.everywhere or ip_address(place.address).packed in there or there & ANY):
        return ""
    where = "every address" if place.everywhere else place.address
    return f"something else listens on port {place.port} of this machine, and it is to listen on {where}"


def memory_trouble(spec: QueueManagerSpec, available_mb: int | None) -> str:
    """Why there is too little memory for it."""
    if not spec.min_memory_mb or available_mb is None or available_mb >= spec.min_memory_mb:
        return ""
    return f"{available_mb} MB of memory are available, min_memory_mb = {spec.min_memory_mb}"


def available_mb(proc: Path = PROC) -> int | None:
    """Memory that programs can have without swapping, in megabytes; None where the kernel does not tell."""
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB$", (proc / "meminfo").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 // MB if found is not None else None


def disk_trouble(spec: QueueManagerSpec, free_bytes: int | None) -> str:
    """Why there is too little room where its data are."""
    if not spec.min_disk_mb or free_bytes is None or free_bytes >= spec.min_disk_mb * MB:
        return ""
    return f"{free_bytes // MB} MB are free at {spec.storage.path}, min_disk_mb = {spec.min_disk_mb}"


def version_trouble(rule: VersionRule, own: str, last: str) -> str:
    """Why the program here may not follow the one that ran it last; either is empty where it is not known."""
    if rule is VersionRule.ANY or not own or not last or own == last:
        return ""
    if rule is VersionRule.EQUAL or _numbers(own) < _numbers(last):
        return f"version {own} is installed here, and {last} ran it last (version_rule = {str(rule)!r})"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The first dotted number in it, without zeros at its end."""
    found = re.search(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found is not None else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
