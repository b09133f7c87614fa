"""Over TLS a sink gets events only where the signer is the one named and the address the certificate's, and only from
who shows a certificate and knows the password that the sink asks for."""

import asyncio
import shutil
from pathlib import Path

import pytest

from standfast.errors import KeyFileError
from tests.alerts.receivers import Web, private
from tests.alerts.secure import ELSEWHERE, Keys, Secure, SecureMosquitto, SecureNats, SecureWeb, detour
from tests.alerts.test_sinks import delivered, reach

QUICK = (SecureMosquitto, SecureNats, SecureWeb)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "stranger")


async def well_guarded(receiver: Secure, stranger: Keys, directory: Path) -> None:
    """One event arrives; with anything amiss none does."""
    await receiver.prepare()
    await delivered(receiver.spec(), 1)
    assert await reach(receiver, 1) == ["w.1.1"]
    wrong = {
        "the signer is another": {"ca_file": stranger.ca},
        "the signer is none that the system knows": {"ca_file": ""},
    }
    wrong["no certificate is shown"] = {"cert_file": "", "key_file": ""}
    wrong["a stranger's certificate is shown"] = stranger.shown_by("w")
    if receiver.asks_password:
        wrong["the password is wrong"] = {"password_file": private(directory / "wrong", "wrong")}
    async with detour(receiver.secure) as port:
        wrong["the address is not the certificate's"] = {"url": f"{receiver.scheme}://{ELSEWHERE}:{port}"}
        taken = [what for what, spoilt in wrong.items() if await arrives(receiver, spoilt)]
    assert taken == []
    assert await receiver.received() == ["w.1.1"]


async def arrives(receiver: Secure, spoilt: dict[str, str]) -> bool:
    try:
        await delivered(receiver.spec(**spoilt, deadline_s=1.0), 2)
    except Exception:  # noqa: BLE001 - clients raise what they like
        return False
    return True


@pytest.mark.parametrize("kind", QUICK)
async def test_brokers_and_webhooks(tmp_path, stranger, kind):
    receiver = kind(tmp_path / "receiver", Keys(tmp_path / "keys"))
    receiver.start()
    try:
        await well_guarded(receiver, stranger, tmp_path)
    finally:
        receiver.stop()
        if isinstance(receiver, Web):
            await receiver.close()


@pytest.mark.parametrize("file", ["ca_file", "cert_file", "key_file"])
async def test_a_file_that_can_not_be_used_is_named(tmp_path, stranger, file):
    receiver = SecureWeb(tmp_path / "receiver", stranger)
    (tmp_path / "spoilt").write_text("nothing\n")
    (tmp_path / "spoilt").chmod(0o600)
    for bad in ("spoilt", "missing"):
        with pytest.raises(KeyFileError):
            await delivered(receiver.spec(**{file: str(tmp_path / bad)}), 1)


async def test_a_key_that_others_can_read_is_not_used(tmp_path, stranger):
    receiver = SecureWeb(tmp_path / "receiver", stranger)
    open_key = tmp_path / "open.key"
    shutil.copy(stranger.pair("w")[1], open_key)
    open_key.chmod(0o644)
    with pytest.raises(KeyFileError):
        await delivered(receiver.spec(key_file=str(open_key)), 1)


async def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path, stranger):
    locked = tmp_path / "locked.key"
    asked = [
        "openssl",
        "pkcs8",
        "-topk8",
        "-in",
        stranger.pair("w")[1],
        "-passout",
        "pass:abcdefgh",
        "-out",
        str(locked),
    ]
    made = await asyncio.create_subprocess_exec(*asked)
    assert await made.wait() == 0
    locked.chmod(0o600)
    with pytest.raises(KeyFileError):
        await delivered(SecureWeb(tmp_path / "receiver", stranger).spec(key_file=str(locked)), 1)
