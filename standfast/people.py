"""Certificates of people and programs for the API, made with the cluster's authority on the machine that keeps it.

Guarantees: like a member's folder, one of a person appears whole or not at all, with mode 0700 and files of mode 0600;
a certificate names its right as its organizational unit, and is good as a client's only.

Does not guarantee that one can be taken back: certificates are not revoked one by one. Give them an end, or use tokens.
"""

import datetime as dt
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from standfast.errors import KeyFileError
from standfast.tokens import Right
from standfast.trust import AUTHORITY, CA_CERTIFICATE, load_authority

CERTIFICATE: Final = "client.crt"
PRIVATE_KEY: Final = "client.key"
SLACK: Final = dt.timedelta(days=1)
"""Good from so long ago: clocks may be wrong."""


def certify(directory: Path, name: str, right: Right, until: dt.datetime, folder: Path) -> None:
    """Make key and certificate of somebody in `folder`, with the authority in `directory` (see write_trust).

    Raises KeyFileError when `folder` exists already, when the authority is not there, or when it can not be written.
    """
    if folder.exists():
        raise KeyFileError(f"{folder} exists already: nothing was written. Choose another directory, or move it away.")
    ca, ca_key = load_authority(directory / AUTHORITY)
    key = ec.generate_private_key(ec.SECP256R1())
    organization = ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization.value),
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, right.value),
                    x509.NameAttribute(NameOID.COMMON_NAME, name),
                ]
            )
        )
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - SLACK)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    _write(
        folder,
        {CA_CERTIFICATE: ca.public_bytes(pem), CERTIFICATE: certificate.public_bytes(pem), PRIVATE_KEY: private},
    )


def _write(folder: Path, files: dict[str, bytes]) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # mode 0700
        try:
            for name, content in files.items():
                descriptor = os.open(unfinished / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise KeyFileError(
            f"The certificate cannot be written to {folder}: {error.strerror}. See that its parent can be written."
        ) from error
