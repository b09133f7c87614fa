"""Eclipse Mosquitto 2.0, MQTT 3.1.1 and 5.

Guarantees nothing for acknowledged messages. Mosquitto keeps them in memory and rewrites its whole database later:
PUBACK leaves before anything is written, in every configuration of 2.0. The generated configuration makes the window as
small as it can be (`autosave_on_changes true`, `autosave_interval 1`: the database is rewritten and synced when more
than one change has come together), and a graceful stop saves everything. So a planned move loses nothing, and a kill
or the death of a machine loses the last messages acknowledged. `durability` says NONE, and a drill says so too.

Does not lock its database: two brokers on one directory overwrite each other's. That only one has it is the business
of the member (lease, epoch file, lock), not of this driver.

Options (all optional)
    autosave_changes     changes that make Mosquitto rewrite its database; default 1. Larger values cost less with large
                         queues and lose more
    max_queued_messages  messages kept for a client that is away; default 100000. Mosquitto's own default of 1000 drops
                         the rest without a word
    user                 name that clients must log in with; without it anyone who reaches the port may connect
    password_file        file on each data member, mode 0600, with its password (plain) in the first line

The broker keeps the user that the member runs as, because the data directory belongs to that one. Mosquitto itself
starts happily on a directory that it can not write to and notices when it saves: a test in front of it refuses the
start instead.
"""

import asyncio
import base64
import hashlib
import os
import struct
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from standfast.managers.credentials import Credentials, pairing_problems, read_credentials
from standfast.managers.options import option_problems, read_options
from standfast.managers.programs import age_remarks, find_program, if_writable, program_version
from standfast.ports import Durability, Launch, NotReady, Place, Remark

CONFIG = "mosquitto.conf"
PASSWORDS = "passwords"
_DATA = "mosquitto"
_FOLLOWS = "it follows from the path of the queue manager's storage."
_REFUSED = {
    "persistence": "without it a planned move would lose every message.",
    "persistence_location": _FOLLOWS,
    "autosave_interval": "set autosave_changes instead.",
}
_HASH_ROUNDS = 101  # what mosquitto_passwd uses; the password is the operator's secret, the file is private
_SALT_BYTES = 12

_CONNACK_BYTES = 4
_CONNACK = 0x20
_REFUSALS = {
    1: "protocol version",
    2: "client identifier",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorised",
}


class MosquittoOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    autosave_changes: Annotated[int, Meta(ge=1)] = 1
    max_queued_messages: Annotated[int, Meta(ge=1)] = 100_000
    user: str = ""
    password_file: str = ""


class Mosquitto:
    """Driver for Mosquitto; see the module's docstring."""

    kind = "mosquitto"
    durability = Durability.NONE
    durability_note = (
        "Mosquitto 2.0 acknowledges before it saves: messages acknowledged in the moments before a crash can be lost; "
        "a graceful stop and a planned move keep all."
    )
    option_names = frozenset(MosquittoOptions.__struct_fields__)
    programs: tuple[str, ...] = ("mosquitto",)

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, MosquittoOptions, _REFUSED)
        if not found:
            options = read_options(place.options, MosquittoOptions)
            found += pairing_problems(options.user, options.password_file)
        return found

    def launch(self, place: Place) -> Launch:
        """Mosquitto with a generated configuration; raises MachineError without it, KeyFileError for a bad password."""
        credentials = _credentials(place)
        files = {CONFIG: _config(place, credentials)}
        if credentials is not None:
            files[PASSWORDS] = _password_entry(credentials)
        return Launch(
            argv=if_writable(place.data_dir / _DATA, str(_program()), "-c", str(place.run_dir / CONFIG)),
            files=files,
            also_writes=(_DATA,),
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when the broker accepts an MQTT 3.1.1 connection (CONNACK 0); raises NotReady."""
        packet = connect_packet("", _credentials(place))
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(place.address, place.port)
                try:
                    writer.write(packet)
                    answer = await reader.readexactly(_CONNACK_BYTES)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise NotReady(f"no answer on {place.address}:{place.port} within {timeout_s:g} s") from None
        except (OSError, EOFError) as error:
            raise NotReady(f"{place.address}:{place.port}: {error}") from error
        if answer[0] != _CONNACK:
            raise NotReady(f"what listens there does not speak MQTT: it said {answer!r}")
        if answer[3]:
            raise NotReady(f"the broker refused the connection: {_REFUSALS.get(answer[3], answer[3])}")

    async def version(self, place: Place) -> str:  # noqa: ARG002 - one program for all
        """Version of mosquitto; raises MachineError when it is missing."""
        return await program_version(_program(), "-h", pattern=r"mosquitto version (\S+)")

    async def examine(self, place: Place) -> list[Remark]:
        """Whether this Mosquitto understands the configuration that is generated."""
        return age_remarks("mosquitto", await self.version(place), (2, 0), "this driver was not tried with it.")


def connect_packet(client_id: str, credentials: Credentials | None, *, clean: bool = True) -> bytes:
    """An MQTT 3.1.1 CONNECT without keep-alive; `clean` False asks for a session that outlives the connection."""
    flags = 0x02 if clean else 0
    payload = _string(client_id)
    if credentials is not None:
        flags |= 0xC0
        payload += _string(credentials.user) + _string(credentials.password)
    body = _string("MQTT") + bytes((4, flags)) + struct.pack(">H", 0) + payload
    return b"\x10" + remaining_length(len(body)) + body


def remaining_length(length: int) -> bytes:
    """Length of an MQTT packet's rest, seven bits per byte, lowest first (MQTT 3.1.1, section 2.2.3)."""
    encoded = bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(encoded)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _program() -> Path:
    return find_program("mosquitto", advice="Install it with: apt-get install mosquitto")


def _credentials(place: Place) -> Credentials | None:
    options = read_options(place.options, MosquittoOptions)
    return read_credentials(options.user, options.password_file)


def _config(place: Place, credentials: Credentials | None) -> str:
    options = read_options(place.options, MosquittoOptions)
    access = ["allow_anonymous true"]
    if credentials is not None:
        access = ["allow_anonymous false", f"password_file {place.run_dir / PASSWORDS}"]
    lines = [
        "# Written by Standfast at every start; changes belong into the cluster file.",
        # Started as root it would become another user, who can not write to the data directory.
        *(["user root"] if os.geteuid() == 0 else []),
        f"listener {place.port}" + ("" if place.everywhere else f" {place.address}"),
        *access,
        "persistence true",
        f"persistence_location {place.data_dir / _DATA}/",
        "autosave_on_changes true",
        f"autosave_interval {options.autosave_changes}",
        f"max_queued_messages {options.max_queued_messages}",
        # Else, with several messages in flight, answers wait for the client's kernel: a seventh of the rate, measured.
        "set_tcp_nodelay true",
        "log_dest stdout",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages false",
    ]
    return "\n".join(lines) + "\n"


def _password_entry(credentials: Credentials) -> str:
    """A line as mosquitto_passwd writes it: PBKDF2 with SHA-512."""
    salt = os.urandom(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", credentials.password.encode(), salt, _HASH_ROUNDS)
    parts = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{credentials.user}:$7${_HASH_ROUNDS}${'$'.join(parts)}\n"
