"""Where events go: what a sink is, and what each kind of sink takes."""

from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from standfast.model.events import Severity


class SinkKind(StrEnum):
    """How events are handed over."""

    AMQP = "amqp"  # AMQP 1.0
    AMQP091 = "amqp091"
    MQTT = "mqtt"
    NATS = "nats"  # JetStream
    SNMP = "snmp"
    WEBHOOK = "webhook"
    SYSLOG = "syslog"
    COMMAND = "command"


class Delivery(StrEnum):
    """Which way the events of the cluster go to a sink. What one member alone can see always comes from that member."""

    USUAL = "usual"  # as is usual for the kind
    FROM_LOG = "from_log"  # one member reads them from the store's log: in order, each at least once
    AT_ONCE = "at_once"  # each member sends what it wrote itself, without asking the store


class SinkSpec(Struct, frozen=True, kw_only=True):
    """One sink.

    Attributes:
        name: unique in the cluster; letters, digits and dashes.
        kind: see SinkKind.
        url: where it is, as its kind writes it; empty for a command.
        target: queue, address, topic or subject there.
        queue_manager: it is on that queue manager of this cluster, wherever that runs: host and port of the url are
            replaced by its own.
        severity: the least severity that it takes.
        only: kinds of events that it takes; empty: all.
        delivery: see Delivery.
        deadline_s: longest time for one delivery, from the name lookup to the last acknowledgement, in seconds.
        username: at the sink; empty: none.
        password_file: file on each member with the password for it, or with the community of SNMP version 2c.
        ca_file: who signed its certificate; empty: the system's authorities.
        cert_file: for a sink that asks for client certificates; empty: none.
        key_file: of that certificate.
        options: further ones of its kind, see KINDS.
    """

    name: str
    kind: SinkKind
    url: str = ""
    target: str = ""
    queue_manager: str = ""
    severity: Severity = Severity.INFO
    only: tuple[str, ...] = ()
    delivery: Delivery = Delivery.USUAL
    deadline_s: float = 10.0
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def from_log(self) -> bool:
        """Whether the cluster's events come to it from the store's log."""
        usual = Delivery.FROM_LOG if KINDS[self.kind].queue else Delivery.AT_ONCE
        return (usual if self.delivery is Delivery.USUAL else self.delivery) is Delivery.FROM_LOG

    def takes(self, kind: str, severity: Severity) -> bool:
        """Whether such an event is for it."""
        ranks = [*Severity]
        return (not self.only or kind in self.only) and ranks.index(severity) >= ranks.index(self.severity)


class Choice(Struct, frozen=True):
    """An option: its type, what it means, and the words that it may be; none: any."""

    type: type
    meaning: str
    words: tuple[str, ...] = ()


class Traits(Struct, frozen=True, kw_only=True):
    """What a kind of sink takes.

    Attributes:
        schemes: of its url, and the port that each stands for; 0: no port.
        target: what `target` names; empty: it has none.
        queue: its messages wait there for whoever reads them.
        options: by name.
        example: of a url.
    """

    schemes: dict[str, int]
    target: str = ""
    queue: bool = False
    options: dict[str, Choice] = field(default_factory=dict)
    example: str = ""


AUTHS = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
PRIVACIES = ("des", "aes", "aes192", "aes256")
FACILITIES = ("kern", "user", "daemon", *(f"local{number}" for number in range(8)))

KINDS: dict[SinkKind, Traits] = {
    SinkKind.AMQP: Traits(
        schemes={"amqp": 5672, "amqps": 5671},
        target="queue or address",
        queue=True,
        options={"container": Choice(str, "container id; by default standfast-MEMBER")},
        example="amqp://10.0.0.9:5672",
    ),
    SinkKind.AMQP091: Traits(
        schemes={"amqp": 5672, "amqps": 5671},
        target="queue, or routing key with an exchange",
        queue=True,
        options={
            "exchange": Choice(str, "exchange to publish to; by default the nameless one, which leads to the queue"),
            "vhost": Choice(str, "virtual host; by default /"),
        },
        example="amqp://10.0.0.9:5672",
    ),
    SinkKind.MQTT: Traits(
        schemes={"mqtt": 1883, "mqtts": 8883}, target="topic", queue=True, example="mqtt://10.0.0.9:1883"
    ),
    SinkKind.NATS: Traits(
        schemes={"nats": 4222, "tls": 4222},
        target="subject, which a stream of JetStream must take",
        queue=True,
        example="nats://10.0.0.9:4222",
    ),
    SinkKind.SNMP: Traits(
        schemes={"snmp": 162},
        options={
            "version": Choice(str, "by default 2c", ("2c", "3")),
            "notify": Choice(str, "trap, by default: sent once; inform: until acknowledged", ("trap", "inform")),
            "auth": Choice(str, "how version 3 proves who sends; by default sha256", AUTHS),
            "privacy": Choice(str, "how version 3 hides what is sent; by default aes", PRIVACIES),
            "privacy_password_file": Choice(str, "file with the password for that; without it nothing is hidden"),
            "root": Choice(str, "number below which the MIB was put, if not the one in the MIB file"),
        },
        example="snmp://10.0.0.9:162",
    ),
    SinkKind.WEBHOOK: Traits(
        schemes={"http": 80, "https": 443},
        options={
            "secret_file": Choice(str, "file with the secret by which each request is signed (HMAC-SHA256)"),
            "token_file": Choice(str, "file with a bearer token"),
        },
        example="https://hooks.example.org/standfast",
    ),
    SinkKind.SYSLOG: Traits(
        schemes={"unix": 0, "udp": 514},
        options={"facility": Choice(str, "by default daemon", FACILITIES)},
        example="unix:///dev/log",
    ),
    SinkKind.COMMAND: Traits(
        schemes={},
        options={"command": Choice(list, "program and arguments; gets the event on its standard input")},
    ),
}
