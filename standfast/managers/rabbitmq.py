"""RabbitMQ 3.10 and later, one node without a cluster of its own.

Guarantees: a confirmed publish to a quorum queue is on stable storage: its log is synced before the confirmation, also
with one replica. So that applications get one without asking, durable queues of the virtual host "/" that are declared
without a type become quorum queues.

Does not guarantee: anything for the machine's death where a queue is a classic one or a stream. RabbitMQ confirms
those when they are written, not synced: they survive the death of the process only. Messages that are not persistent
and publishes without confirms promise nothing anywhere. A quorum queue counts from a second or two after it was
declared (`names.dets` of its Raft library is saved that late): one that is younger when the process dies is gone with
all that was confirmed, and whoever asks for it waits for an answer that does not come.

RabbitMQ does not lock its directory: that only one node has it is the business of the member (lease, epoch file,
lock).

Nothing of the node depends on the host: its name is `rabbit@localhost` everywhere, its cookie is made by the first
start beside the data. It runs without epmd, which would be shared by all brokers of a machine and outlive them: the
port for `rabbitmqctl` is fixed, on 127.0.0.1 only. A script that calls `rabbitmqctl` so is in the run directory.

Options
    user, password_file  who may log in; the file is on each data member, mode 0600, the password its first line. Must
                         be given unless the member's address is a loopback one, where RabbitMQ's own guest is let in
    default_queue_type   what becomes of a durable queue declared without a type: "quorum" (default) or "classic"
    plugins              names of plugins to enable, such as "rabbitmq_management"; default none
    settings             lines for rabbitmq.conf, such as {"heartbeat" = "10"}; what a promise rests on is refused
    node_name            default "rabbit@localhost"; a node that exists already must keep its name
    dist_port            port on 127.0.0.1 for rabbitmqctl; default: the client port + 20000
    installation         default /usr/lib/rabbitmq
"""

import asyncio
import base64
import hashlib
import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from standfast.errors import MachineError
from standfast.managers import amqp
from standfast.managers.credentials import Credentials, pairing_problems, read_credentials
from standfast.managers.options import option_problems, read_options
from standfast.managers.programs import age_remarks
from standfast.ports import Durability, Launch, NotReady, Place, Remark

CONFIG, DEFINITIONS, PLUGINS, CONTROL, ENVIRONMENT = (
    "rabbitmq.conf",
    "definitions.json",
    "enabled_plugins",
    "rabbitmqctl",
    "rabbitmq-env.conf",
)
NOTED_S = 2.0
"""A new quorum queue survives a crash once RabbitMQ has saved its list of them: after one second, or two when busy."""
_NO_EPMD = "-start_epmd false"
_DATA = "rabbitmq"
_GUEST = Credentials("guest", "guest")
_DIST_OFFSET = 20_000
_PORTS = 65_535
_READ_BYTES = 65_536
_SALT_BYTES = 4
_REFUSED = {
    "cookie": "it is made by the first start, beside the data.",
    "vhost": "users of other virtual hosts are made with rabbitmqctl, once: they are kept with the data.",
}
_FIXED = {
    "listeners.": "it listens on the member's address and the port of the cluster file.",
    "load_definitions": "user and queue type are imported by it at every start.",
    "definitions.": "user and queue type are imported at every start.",
    "cluster_name": "it is the queue manager's name, by which the member knows it.",
    "cluster_formation": "one node has the data at a time; a second copy is not kept.",
    "raft.": "quorum queues sync before they confirm, which no setting may change.",
    "default_user": "set user and password_file instead.",
    "default_pass": "set user and password_file instead.",
    "loopback_users": "set user and password_file instead.",
    "log.file": "it logs to the member's output.log.",
}

NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+@[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
Port = Annotated[int, Meta(ge=1, le=_PORTS)]
Plugin = Annotated[str, Meta(pattern="^[a-z0-9_]+$")]


class RabbitMqOptions(Struct, frozen=True, kw_only=True):
    """What the cluster file may set; see the module's docstring."""

    user: str = ""
    password_file: str = ""
    default_queue_type: Literal["quorum", "classic"] = "quorum"
    plugins: tuple[Plugin, ...] = ()
    settings: dict[str, str] = {}
    node_name: NodeName = "rabbit@localhost"
    dist_port: Port | None = None
    installation: str = "/usr/lib/rabbitmq"


class RabbitMq:
    """Driver for RabbitMQ; see the module's docstring."""

    kind = "rabbitmq"
    durability = Durability.SYNCED
    durability_note = (
        "RabbitMQ syncs a message of a quorum queue to the disk before it confirms it; classic queues and streams may "
        "be confirmed unsynced: they then survive the process's death, not the machine's."
    )
    option_names = frozenset(RabbitMqOptions.__struct_fields__)
    programs: tuple[str, ...] = ()

    def problems(self, place: Place) -> list[str]:
        """What is wrong with the options, a sentence each."""
        found = option_problems(place.options, RabbitMqOptions, _REFUSED)
        if found:
            return found
        options = read_options(place.options, RabbitMqOptions)
        found += pairing_problems(options.user, options.password_file)
        if not found and not options.user and not ipaddress.ip_address(place.address).is_loopback:
            found.append(
                "options 'user' and 'password_file' are missing: RabbitMQ lets nobody in over the network without."
            )
        for name, value in options.settings.items():
            found += _setting_problems(name, value)
        if options.dist_port is None and place.port + _DIST_OFFSET > _PORTS:
            found.append("option 'dist_port' is missing: the client port + 20000 is no port.")
        return found

    def launch(self, place: Place) -> Launch:
        """The node with a generated configuration; raises MachineError without RabbitMQ, KeyFileError for a password.

        RABBITMQ_ALLOW_INPUT makes its script become the Erlang machine instead of a shell that waits for it: the
        process that the member knows is the broker. It ends with all its helpers, and SIGTERM is its graceful stop.
        """
        options = read_options(place.options, RabbitMqOptions)
        environment = _environment(place, options)
        return Launch(
            argv=(str(_program(options, "rabbitmq-server")),),
            env=environment,
            files={
                CONFIG: _config(place, options),
                DEFINITIONS: json.dumps(_definitions(place, options)),
                PLUGINS: f"[{','.join(options.plugins)}].\n",
                ENVIRONMENT: "",
                CONTROL: _control(_program(options, "rabbitmqctl"), environment, options, place),
            },
            also_writes=(_DATA,),
        )

    async def ready(self, place: Place, timeout_s: float) -> None:
        """Return when it lets the member into "/" under this queue manager's name; raises NotReady.

        RabbitMQ opens its port as the last step of its start.
        """
        credentials = _credentials(place)
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(place.address, place.port)
                try:
                    server = await _login(reader, writer, credentials)
                    writer.write(amqp.goodbye())
                    await reader.read(_READ_BYTES)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise NotReady(f"no answer on {place.address}:{place.port} within {timeout_s:g} s") from None
        except amqp.Refused as error:
            raise NotReady(f"the broker refused the connection: {error}") from error
        except (OSError, EOFError, amqp.ProtocolError) as error:
            raise NotReady(f"{place.address}:{place.port}: {error}") from error
        if server.get("cluster_name") != place.name:
            raise NotReady(f"another broker listens there: it calls itself {server.get('cluster_name')!r}")

    async def version(self, place: Place) -> str:
        """Version of RabbitMQ, from the name of its own library, without an Erlang machine; raises MachineError."""
        program = _program(read_options(place.options, RabbitMqOptions), "rabbitmq-server").resolve()
        for found in (program.parents[1] / "plugins").glob("rabbit-*"):
            if version := re.fullmatch(r"rabbit-(\d+(?:\.\w+)*)(?:\.ez)?", found.name):
                return version[1]
        raise MachineError(f"{program} is not in an installation of RabbitMQ. Set option 'installation'.")

    async def examine(self, place: Place) -> list[Remark]:
        """Whether this RabbitMQ is new enough."""
        return age_remarks("RabbitMQ", await self.version(place), (3, 10), "this driver was not tried with it.")


async def _login(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, credentials: Credentials
) -> dict[str, Any]:
    login, buffer = amqp.Login(credentials), bytearray()
    writer.write(amqp.PROTOCOL_HEADER)
    while not login.done:
        data = await reader.read(_READ_BYTES)
        if not data:
            raise EOFError("the connection was closed")
        buffer += data
        while (frame := amqp.take_frame(buffer)) is not None:
            writer.write(login.answer(frame))
    return login.server


def login_credentials(user: str, password_file: str) -> Credentials:
    """Who logs in: the configured user, or RabbitMQ's own guest; raises KeyFileError for a bad password file."""
    return read_credentials(user, password_file) or _GUEST


def _credentials(place: Place) -> Credentials:
    options = read_options(place.options, RabbitMqOptions)
    return login_credentials(options.user, options.password_file)


def _program(options: RabbitMqOptions, name: str) -> Path:
    """Not what is on PATH: Debian's goes to another user, who can not write to the data directory."""
    for folder in ("bin", "sbin"):
        path = Path(options.installation, folder, name)
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise MachineError(
        f"RabbitMQ is not in {options.installation}. Install it with: apt-get install rabbitmq-server; then: systemctl "
        "disable --now rabbitmq-server. Or set option 'installation'."
    )


def _setting_problems(name: str, value: str) -> list[str]:
    for fixed, reason in _FIXED.items():
        if name.startswith(fixed):
            return [f"option 'settings': {name} can not be set: {reason}"]
    if not re.fullmatch(r"[A-Za-z0-9_.$-]+", name) or "\n" in value:
        return [f"option 'settings': {name!r} = {value!r} is no line of rabbitmq.conf."]
    return []


def _dist_port(place: Place, options: RabbitMqOptions) -> int:
    return options.dist_port or place.port + _DIST_OFFSET


def _environment(place: Place, options: RabbitMqOptions) -> dict[str, str]:
    """All that its scripts read, so that nothing in /etc/rabbitmq counts.

    ERL_FLAGS is for a helper: once a minute RabbitMQ starts an Erlang machine that would start epmd, if none is there.
    """
    port, data = _dist_port(place, options), place.data_dir / _DATA
    name = "-name" if "." in options.node_name.partition("@")[2] else "-sname"
    return {
        "HOME": str(data),
        "ERL_FLAGS": _NO_EPMD,
        "RABBITMQ_CONF_ENV_FILE": str(place.run_dir / ENVIRONMENT),
        "RABBITMQ_NODENAME": options.node_name,
        "RABBITMQ_USE_LONGNAME": "true" if name == "-name" else "false",
        "RABBITMQ_MNESIA_BASE": str(data),
        "RABBITMQ_MNESIA_DIR": str(data / "node"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(data / "feature_flags"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(place.run_dir),
        "RABBITMQ_CONFIG_FILE": str(place.run_dir / CONFIG.removesuffix(".conf")),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(place.run_dir / "advanced.config"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(place.run_dir / "generated"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(place.run_dir / "plugins"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place.run_dir / PLUGINS),
        "RABBITMQ_PID_FILE": str(place.run_dir / "rabbitmq.pid"),
        "RABBITMQ_DIST_PORT": str(port),
        "RABBITMQ_ALLOW_INPUT": "yes",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            f"-noinput {name} {options.node_name} {_NO_EPMD} -erl_epmd_port {port} "
            "-kernel inet_dist_use_interface {127,0,0,1} "
            f"-kernel inet_dist_listen_min {port} -kernel inet_dist_listen_max {port}"
        ),
    }


def _config(place: Place, options: RabbitMqOptions) -> str:
    lines = {
        "listeners.tcp.1": f"{'::' if place.everywhere else place.address}:{place.port}",
        "cluster_name": place.name,
        "load_definitions": str(place.run_dir / DEFINITIONS),
        "log.console": "true",
        "log.console.level": "warning",
        **options.settings,
    }
    return "# Written by Standfast at every start; changes belong into the cluster file.\n" + "".join(
        f"{name} = {value}\n" for name, value in lines.items()
    )


def _definitions(place: Place, options: RabbitMqOptions) -> dict[str, Any]:
    """Imported at every start: who may log in, and what a queue is unless its client says.

    With a user of its own RabbitMQ's guest gets an empty hash, with which nobody can log in.
    """
    credentials = _credentials(place)
    users = [_user(credentials)]
    if credentials.user != _GUEST.user:
        users.append({"name": _GUEST.user, "password_hash": "", "tags": []})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/", "metadata": {"default_queue_type": options.default_queue_type}}],
        "users": users,
        "permissions": [{"user": credentials.user, "vhost": "/", **everything}],
    }


def _user(credentials: Credentials) -> dict[str, Any]:
    """With the password as RabbitMQ keeps it: four bytes of salt, then SHA-256 of salt and password."""
    salt = os.urandom(_SALT_BYTES)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + credentials.password.encode()).digest()).decode()
    return {
        "name": credentials.user,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": ["administrator"],
    }


def _control(program: Path, environment: dict[str, str], options: RabbitMqOptions, place: Place) -> str:
    """A script for operators: rabbitmqctl, asking this node on its own port."""
    kept = ("HOME", "ERL_FLAGS", "RABBITMQ_CONF_ENV_FILE", "RABBITMQ_NODENAME", "RABBITMQ_USE_LONGNAME")
    lines = [f"export {name}='{environment[name]}'" for name in kept]
    port = _dist_port(place, options)
    return "\n".join(
        [
            "#!/bin/sh",
            f"# rabbitmqctl for {place.name}, as the member's user. Try: sh {place.run_dir / CONTROL} list_queues",
            *lines,
            f"export RABBITMQ_CTL_ERL_ARGS='{_NO_EPMD} -erl_epmd_port {port} -dist_listen false'",
            f'exec {program} "$@"',
            "",
        ]
    )
