"""The receivers once more, over TLS only: each shows a certificate, demands one, and some a password as well.

Keys are those of two real clusters, made as `standfast init` makes them: that of the receivers, and a stranger's.
"""

import asyncio
import contextlib
import hashlib
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import nats
from aiohttp import web

from standfast.model.cluster import Cluster, MemberSpec, Role
from standfast.model.sinks import SinkSpec
from standfast.trust import CA_CERTIFICATE, CERTIFICATE, PRIVATE_KEY, write_trust
from tests.alerts.receivers import HOST, Mosquitto, NatsServer, Rabbit, RabbitAmqp10, Receiver, Web, free_port, private

ELSEWHERE = "127.0.83.2"
"""No certificate is for this address."""
USER, PASSWORD = "standfast", "pa:ss@wo/rd"


class Keys:
    """Of one cluster: `server` listens on HOST, `w` delivers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        members = tuple(MemberSpec(name=name, role=Role.DATA, addresses=(HOST,)) for name in ("server", "w"))
        write_trust(directory, Cluster(name="shop", id=directory.name, members=members))
        self.ca = str(directory / "w" / CA_CERTIFICATE)

    def pair(self, member: str) -> tuple[str, str]:
        """Files with its certificate and key."""
        return str(self._directory / member / CERTIFICATE), str(self._directory / member / PRIVATE_KEY)

    def shown_by(self, member: str) -> dict[str, str]:
        """As settings of a sink."""
        return dict(zip(("cert_file", "key_file"), self.pair(member), strict=True))


class Secure(Receiver):
    """What all have in common. A spec trusts and shows what it should; `more` spoils it."""

    scheme: ClassVar[str]
    asks_password: ClassVar[bool] = True

    def __init__(self, directory: Path, keys: Keys) -> None:
        super().__init__(directory)
        self.keys = keys
        self.secure = free_port()

    def spec(self, **more: Any) -> SinkSpec:
        given = {"url": f"{self.scheme}://{HOST}:{self.secure}", "ca_file": self.keys.ca, **self.keys.shown_by("w")}
        if self.asks_password:
            given |= {"username": USER, "password_file": private(self.directory / "secret", PASSWORD)}
        return super().spec(**{**given, **more})


class SecureMosquitto(Secure, Mosquitto):
    """The reader of the test comes by a listener of its own."""

    scheme = "mqtts"

    def argv(self):
        argv = super().argv()
        config, (cert, key) = Path(argv[-1]), self.keys.pair("server")
        salt = b"0123456789ab"
        digest = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 101)
        (self.directory / "users").write_text(
            f"{USER}:$7$101${b64encode(salt).decode()}${b64encode(digest).decode()}\n"
        )
        config.write_text(
            f"per_listener_settings true\n{config.read_text()}listener {self.secure} {HOST}\n"
            f"cafile {self.keys.ca}\ncertfile {cert}\nkeyfile {key}\nrequire_certificate true\n"
            f"allow_anonymous false\npassword_file {self.directory}/users\n"
        )
        return argv


class SecureNats(Secure, NatsServer):
    scheme = "tls"

    def argv(self):
        cert, key = self.keys.pair("server")
        given = ["--tlsverify", "--tlscacert", self.keys.ca, "--tlscert", cert, "--tlskey", key]
        argv = [*super().argv(), *given, "--user", USER, "--pass", PASSWORD]
        argv[argv.index("-p") + 1] = str(self.secure)
        self.port = self.secure
        return argv

    async def client(self):
        context = ssl.create_default_context(cafile=self.keys.ca)
        context.load_cert_chain(*self.keys.pair("w"))
        return await nats.connect(f"tls://{HOST}:{self.secure}", tls=context, user=USER, password=PASSWORD)


class SecureWeb(Secure, Web):
    scheme = "https"
    asks_password = False

    async def prepare(self):
        self.port = self.secure
        await super().prepare()

    def site(self, runner: web.AppRunner) -> web.TCPSite:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.keys.pair("server"))
        context.load_verify_locations(self.keys.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return web.TCPSite(runner, HOST, self.secure, ssl_context=context)

    def spec(self, **more):
        url = more.pop("url", f"https://{HOST}:{self.secure}")
        return super().spec(url=f"{url}/hook", **more)


class SecureRabbit(Secure, Rabbit):
    """Lets in who has the password or, without one, who is named in a certificate; one is asked for in any case."""

    scheme = "amqps"

    def argv(self):
        argv = super().argv()
        cert, key = self.keys.pair("server")
        (self.directory / "users.json").write_text(json.dumps(_users()))
        (self.directory / "plugins").write_text("[rabbitmq_amqp1_0,rabbitmq_auth_mechanism_ssl].\n")
        config = self.directory / "rabbitmq.conf"
        config.write_text(
            f"{config.read_text()}listeners.ssl.1 = {HOST}:{self.secure}\n"
            f"load_definitions = {self.directory}/users.json\n"
            f"ssl_options.cacertfile = {self.keys.ca}\nssl_options.certfile = {cert}\nssl_options.keyfile = {key}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL\nssl_cert_login_from = common_name\n"
        )
        return argv


class SecureRabbitAmqp10(SecureRabbit, RabbitAmqp10):
    pass


def _users() -> dict[str, Any]:
    """Definitions of RabbitMQ: the reader of the test, one with a password, one with a certificate only."""
    salt = b"salt"
    names = {"guest": "guest", USER: PASSWORD, "w": ""}
    hashes = {
        name: b64encode(salt + hashlib.sha256(salt + text.encode()).digest()).decode() if text else ""
        for name, text in names.items()
    }
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": name,
                "password_hash": hashed,
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
            for name, hashed in hashes.items()
        ],
        "permissions": [{"user": name, "vhost": "/", **everything} for name in names],
    }


@contextlib.asynccontextmanager
async def detour(port: int) -> AsyncIterator[int]:
    """A port on ELSEWHERE that leads to `port` on HOST: the same server under an address that is not its own."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    server = await asyncio.start_server(connected, ELSEWHERE)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
