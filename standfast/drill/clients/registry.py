"""Which protocol a kind of queue manager speaks to a load: one line per kind."""

from collections.abc import Callable

from standfast.drill.clients.activemq import ActiveMqClient
from standfast.drill.clients.base import Client
from standfast.drill.clients.mqtt import MqttClient
from standfast.drill.clients.nats import NatsClient
from standfast.drill.clients.rabbitmq import RabbitClient
from standfast.drill.record import LoadSettings
from standfast.errors import UsageError

CLIENTS: dict[str, Callable[[LoadSettings], Client]] = {
    "activemq": ActiveMqClient,
    "mosquitto": MqttClient,
    "nats": NatsClient,
    "rabbitmq": RabbitClient,
}


def client(settings: LoadSettings) -> Client:
    """The client for a load; raises UsageError for a kind without one, KeyFileError for a bad password file."""
    make = CLIENTS.get(settings.kind)
    if make is None:
        raise UsageError(
            f"There is no load for queue managers of kind {settings.kind!r}: a drill knows {', '.join(CLIENTS)}."
        )
    return make(settings)
