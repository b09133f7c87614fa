"""The program etcd on this machine: where it is, how it is started and stopped, what its log says."""

import asyncio
import errno
import os
import re
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from standfast.errors import MachineError

VERSION_S = 10.0
"""For `etcd --version`."""
LOG_BYTES = 16 * 1024 * 1024
"""A larger log is set aside, one generation, at a start."""
_TAIL_BYTES = 65_536
_REMOVED = b"the member has been permanently removed from the cluster"
"""ErrMemberRemoved of etcd's rafthttp, releases 3.4 to 3.6."""

# Runs etcd in its own place (exec), after asking the kernel for its death with its parent. A process of its own does
# this, not a preexec_fn: Python code between fork and exec may deadlock on locks that other threads held. The parent
# is compared because it may have died before prctl; 1 is PR_SET_PDEATHSIG, 29 PR_SET_TIMERSLACK (linux/prctl.h): what a
# real-time program starts has timers without slack since Linux 6.12, and etcd would wake for nothing.
_SHIM = """\
import ctypes, os, signal, sys
if ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0) != 0:
    sys.exit("prctl refused PR_SET_PDEATHSIG")
ctypes.CDLL(None).prctl(29, 50_000, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def find_etcd() -> str:
    """Path of the program; raises MachineError."""
    program = shutil.which("etcd")
    if program is None:
        raise MachineError("The program `etcd` is not on PATH. Install it: apt-get install etcd-server.")
    return program


async def etcd_version(program: str) -> str:
    """What the program says its version is; raises MachineError when it does not run."""
    try:
        process = await asyncio.create_subprocess_exec(
            program, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(VERSION_S):
            output, _ = await process.communicate()
    except (OSError, TimeoutError) as error:
        raise MachineError(
            f"{program} does not run: {error}. Install it again: apt-get install etcd-server."
        ) from error
    found = re.search(rb"etcd Version: (\S+)", output)
    if found is None:
        raise MachineError(f"{program} does not say its version. Install etcd again: apt-get install etcd-server.")
    return found[1].decode()


async def spawn(program: str, arguments: Sequence[str], log_file: Path) -> asyncio.subprocess.Process:
    """Start it, tied to the life of the calling thread, its output appended to `log_file`."""
    # An interrupt at the terminal is for the daemon, which hands over first: hence a session of its own. A variable
    # like ETCD_NAME would contradict the arguments: hence none of them.
    log = _open_log(log_file)
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), program, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("ETCD_")},
            start_new_session=True,
        )
    finally:
        os.close(log)


def _open_log(path: Path) -> int:
    """The log, for appending."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def stop(process: asyncio.subprocess.Process, patience_s: float) -> None:
    """SIGTERM, in which etcd hands its leadership over; SIGKILL after `patience_s`. Returns when it has ended."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def last_error(log_file: Path) -> str:
    """The last line of an etcd log that tells of an error: its message and error; empty when there is none."""
    return next((told for line in reversed(_tail(log_file)) if (told := _error_in(line))), "")


def was_removed(log_file: Path) -> bool:
    """Whether etcd ended because the others had removed it from the cluster, by its own words in its log."""
    return any(_REMOVED in line for line in _tail(log_file))


def _tail(log_file: Path) -> list[bytes]:
    """The last lines of a log; none when it can not be read."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return log.read().splitlines()
    except OSError:
        return []


def _error_in(line: bytes) -> str:
    """What the line tells of an error; a line that is not JSON comes from a panic or a refused argument."""
    try:
        entry = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line.decode(errors="replace").strip()
    if not isinstance(entry, dict) or entry.get("level") not in ("error", "panic", "fatal"):
        return ""
    return ": ".join(str(entry[part]) for part in ("msg", "error") if entry.get(part))


def port_problem(address: str, port: int) -> str | None:
    """Why nothing can listen there, or None."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"Port {port} of {address} is taken. Stop the program that has it, or choose another store port."
            return f"The store can not listen on {address} port {port}: {error.strerror}. Check the member's address."
    return None
