"""What members trust each other by: the cluster key for heartbeats, certificates for the store and the API.

`write_trust` makes, once for a cluster::

    DIRECTORY/_authority/  ca.crt  ca.key                             keep offline: only for replacing a member's
    DIRECTORY/NAME/        ca.crt  member.crt  member.key  cluster.key    all that this member needs

Guaranteed: the directory appears whole or not at all, nothing is overwritten, every file has mode 0600 and is on disk;
a key that others can read is refused when it is loaded.

Not guaranteed: the cluster key is one for all members, so whoever takes it from one machine can speak as any of them;
certificates are not revoked one by one. After a theft make new trust for the whole cluster.

Certificates are valid from 1970 and have no well-defined end (99991231235959Z, RFC 5280 section 4.1.2.5): clocks may
be wrong, and a cluster that is there to stay up must not stop on a date that nobody remembers.
"""

import base64
import binascii
import datetime as dt
import ipaddress
import os
import shutil
import ssl
import tempfile
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from standfast.errors import KeyFileError
from standfast.model.cluster import Cluster, MemberSpec

KEY_BYTES: Final = 32
CA_CERTIFICATE: Final = "ca.crt"
CERTIFICATE: Final = "member.crt"
PRIVATE_KEY: Final = "member.key"
CLUSTER_KEY: Final = "cluster.key"
AUTHORITY: Final = "_authority"  # no member can be called so

_OTHERS: Final = 0o077
_VALID_FROM: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_VALID_TO: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def write_trust(directory: Path, cluster: Cluster) -> None:
    """Make key, authority and certificates for all members; raises KeyFileError when `directory` exists already."""
    if directory.exists():
        raise KeyFileError(
            f"{directory} exists already and may hold the keys of a cluster that runs: nothing was written. Choose "
            f"another directory, or move this one away if its cluster is no more."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            _write_all(unfinished, cluster)
            unfinished.rename(directory)  # refused by the kernel when somebody else's keys got there first
            _sync(directory.parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise KeyFileError(
            f"The keys cannot be written to {directory}: {error.strerror}. See that its parent can be written."
        ) from error


def load_cluster_key(path: Path) -> bytes:
    """The cluster key, KEY_BYTES long; raises KeyFileError when it is missing, broken or readable by others."""
    text = _private_bytes(path)
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            f"{path} is broken: it must hold {KEY_BYTES} bytes as base64 text. Copy it again from a member that runs."
        )
    return key


def ssl_client_context(folder: Path) -> ssl.SSLContext:
    """To speak to another member: shows this member's certificate and checks the other's against its address.

    `folder` is the member's own; raises KeyFileError when a file is missing, broken or readable by others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, folder)
    return context


def ssl_server_context(folder: Path) -> ssl.SSLContext:
    """To be spoken to by members only: a client without a certificate of this cluster is refused.

    `folder` is the member's own; raises KeyFileError when a file is missing, broken or readable by others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, folder)
    return context


# ---------------------------------------------------------------- loading


def _private_bytes(path: Path) -> bytes:
    """The content of a file that nobody else may read; judged on the open file, so that it cannot be exchanged."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read: {error.strerror}. It is made by `standfast init`; copy this member's folder here."
        ) from error
    if mode & _OTHERS:
        raise KeyFileError(
            f"{path} is open to others (mode {mode & 0o777:04o}), so it may be known to them. Run `chmod 600 {path}`, "
            f"and make new keys if others were on this machine."
        )
    return content


def _load(context: ssl.SSLContext, folder: Path) -> None:
    _private_bytes(folder / PRIVATE_KEY)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=folder / CA_CERTIFICATE)
        context.load_cert_chain(folder / CERTIFICATE, folder / PRIVATE_KEY)
    except OSError as error:  # ssl.SSLError is one
        raise KeyFileError(
            f"The certificates in {folder} cannot be used: {error.strerror or error}. Copy this member's folder here "
            f"again, whole."
        ) from error


# ---------------------------------------------------------------- making


def _write_all(directory: Path, cluster: Cluster) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _authority(cluster, ca_key)
    cluster_key = base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    _write_folder(directory / AUTHORITY, {CA_CERTIFICATE: ca_pem, "ca.key": _pem(ca_key)})
    for member in cluster.members:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(cluster, member, key, ca, ca_key)
        files = {
            CA_CERTIFICATE: ca_pem,
            CERTIFICATE: certificate.public_bytes(serialization.Encoding.PEM),
            PRIVATE_KEY: _pem(key),
            CLUSTER_KEY: cluster_key,
        }
        _write_folder(directory / member.name, files)
    _sync(directory)


def _authority(cluster: Cluster, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name(cluster, "authority")
    usage = _usage(signs_certificates=True)
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    cluster: Cluster,
    member: MemberSpec,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """One certificate for both ends of a connection: every member is a client and a server of every other."""
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(_name(cluster, member.name), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(member)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_TO)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _names(member: MemberSpec) -> list[x509.GeneralName]:
    """The member's name and addresses.

    On loopback also 127.0.0.1: the kernel speaks from there, and etcd compares the certificate of a peer with the
    address that it speaks from.
    """
    addresses = [ipaddress.ip_address(text) for text in dict.fromkeys((*member.addresses, member.clients))]
    home = ipaddress.ip_address("127.0.0.1")
    if home not in addresses and any(address.is_loopback for address in addresses):
        addresses.append(home)
    return [x509.DNSName(member.name), *(x509.IPAddress(address) for address in addresses)]


def _name(cluster: Cluster, what: str) -> x509.Name:
    """Organisation: the cluster and its id, so that authorities of two clusters of one name differ."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"standfast {cluster.name} {cluster.id}"[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, what),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
