"""What members trust each other by: the cluster key for heartbeats, certificates for the store and the API.

`write_trust` makes, once for a cluster::

    DIRECTORY/_authority/  ca.crt  ca.key                             keep offline: only for one more member, or another
    DIRECTORY/NAME/        ca.crt  member.crt  member.key  cluster.key    all that this member needs

and `issue`, later, one more of the latter.

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
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from standfast.errors import KeyFileError
from standfast.model.cluster import Cluster, MemberSpec

KEY_BYTES: Final = 32
CA_CERTIFICATE: Final = "ca.crt"
CERTIFICATE: Final = "member.crt"
PRIVATE_KEY: Final = "member.key"
CLUSTER_KEY: Final = "cluster.key"
CA_KEY: Final = "ca.key"
AUTHORITY: Final = "_authority"  # no member can be called so

_OTHERS: Final = 0o077
_VALID_FROM: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_VALID_TO: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def write_trust(directory: Path, cluster: Cluster, secret: bytes | None = None) -> None:
    """Make key, authority and certificates for all members; raises KeyFileError when `directory` exists already.

    With a secret, the same one makes keys that trust each other, wherever it is done: who has it can make a member.
    """
    if directory.exists():
        raise KeyFileError(
            f"{directory} exists already and may hold the keys of a cluster that runs: nothing was written. Choose "
            f"another directory, or move this one away if its cluster is no more."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            _write_all(unfinished, cluster, *_roots(secret))
            unfinished.rename(directory)  # refused by the kernel when somebody else's keys got there first
            _sync(directory.parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise KeyFileError(
            f"The keys cannot be written to {directory}: {error.strerror}. See that its parent can be written."
        ) from error


def issue(directory: Path, member: MemberSpec, folder: Path) -> None:
    """Make all that one more member needs in `folder`, with the authority that write_trust left in `directory`.

    Raises KeyFileError when `folder` exists already, or when the authority or any member's cluster key is not there.
    """
    if folder.exists():
        raise KeyFileError(
            f"{folder} exists already and may hold the keys of a member that runs: nothing was written. Choose another "
            f"directory, or move this one away."
        )
    ca, ca_key = load_authority(directory / AUTHORITY)
    keys = sorted(directory.glob(f"*/{CLUSTER_KEY}"))
    if not keys:
        raise KeyFileError(
            f"No member's folder with a {CLUSTER_KEY} is in {directory}. Copy the folder of any member there, as "
            f"`standfast init` wrote it."
        )
    load_cluster_key(keys[0])
    organization = ca.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    files = _member_files(str(organization), member, ca, ca_key, keys[0].read_bytes())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write_folder(unfinished / folder.name, files)
            (unfinished / folder.name).rename(folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise KeyFileError(
            f"The keys cannot be written to {folder}: {error.strerror}. See that its parent can be written."
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


def ssl_guest_context(folder: Path) -> ssl.SSLContext:
    """To be spoken to by people and programs: a certificate is asked for and checked, but need not be there.

    `folder` is the member's own; raises KeyFileError when a file is missing, broken or readable by others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
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


def load_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority's certificate and key; raises KeyFileError when they are missing, broken or no pair."""
    try:
        ca = x509.load_pem_x509_certificate(_private_bytes(folder / CA_CERTIFICATE))
        key = serialization.load_pem_private_key(_private_bytes(folder / CA_KEY), password=None)
    except ValueError as error:
        raise KeyFileError(f"The authority in {folder} cannot be used: {error}. Copy it there again, whole.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != ca.public_key():
        raise KeyFileError(
            f"{folder / CA_KEY} is not the key of {folder / CA_CERTIFICATE}. Copy both from where `standfast init` "
            f"wrote them."
        )
    return ca, key


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


def _roots(secret: bytes | None) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    if secret is None:
        return ec.generate_private_key(ec.SECP256R1()), os.urandom(KEY_BYTES)
    drawn = HKDF(hashes.SHA256(), 3 * KEY_BYTES, salt=None, info=b"standfast trust").derive(secret)
    number = int.from_bytes(drawn[KEY_BYTES:]) % (ec.SECP256R1().group_order - 1) + 1  # FIPS 186-5, A.2.1
    return ec.derive_private_key(number, ec.SECP256R1()), drawn[:KEY_BYTES]


def _write_all(directory: Path, cluster: Cluster, ca_key: ec.EllipticCurvePrivateKey, shared: bytes) -> None:
    organization = _organization(cluster)
    ca = _authority(organization, ca_key)
    cluster_key = base64.b64encode(shared) + b"\n"
    _write_folder(
        directory / AUTHORITY, {CA_CERTIFICATE: ca.public_bytes(serialization.Encoding.PEM), CA_KEY: _pem(ca_key)}
    )
    for member in cluster.members:
        _write_folder(directory / member.name, _member_files(organization, member, ca, ca_key, cluster_key))
    _sync(directory)


def _member_files(
    organization: str, member: MemberSpec, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, cluster_key: bytes
) -> dict[str, bytes]:
    """All that a member needs, by file name; its own key is new."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(organization, member, key, ca, ca_key)
    return {
        CA_CERTIFICATE: ca.public_bytes(serialization.Encoding.PEM),
        CERTIFICATE: certificate.public_bytes(serialization.Encoding.PEM),
        PRIVATE_KEY: _pem(key),
        CLUSTER_KEY: cluster_key,
    }


def _authority(organization: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name(organization, "authority")
    usage = _usage(signs_certificates=True)
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    organization: str,
    member: MemberSpec,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """One certificate for both ends of a connection: every member is a client and a server of every other."""
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(_name(organization, member.name), ca.subject, key)
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


def _organization(cluster: Cluster) -> str:
    """The cluster and its id, so that authorities of two clusters of one name differ."""
    return f"standfast {cluster.name} {cluster.id}"[:64]


def _name(organization: str, what: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
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
