"""RabbitMQ over TLS, in both of its protocols: what `tests/alerts/test_tls.py` asks of brokers that start faster."""

import pytest

from tests.alerts.secure import Keys, SecureRabbit, SecureRabbitAmqp10
from tests.alerts.test_sinks import delivered, reach
from tests.alerts.test_tls import arrives, well_guarded


@pytest.mark.parametrize("kind", [SecureRabbit, SecureRabbitAmqp10])
async def test_a_password_or_a_certificate_lets_in(tmp_path, kind):
    receiver, stranger = kind(tmp_path / "receiver", Keys(tmp_path / "keys")), Keys(tmp_path / "stranger")
    receiver.start()
    try:
        await well_guarded(receiver, stranger, tmp_path)
        certificate_alone = {"username": "", "password_file": ""}
        await delivered(receiver.spec(**certificate_alone), 2)
        assert await reach(receiver, 2) == ["w.1.1", "w.1.2"]
        assert not await arrives(receiver, certificate_alone | receiver.keys.shown_by("server"))  # no such user
    finally:
        receiver.stop()
