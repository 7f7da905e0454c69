"""Certificate settings into what listeners need.

``server`` calls ``read_pair`` once when an address says https or gRPC is to speak TLS, and hands
the result to ``context_of`` (REST) or to grpcio (PEM bytes). Keystores and self-signed
certificates need the extra ``flambeau[tls]``; a PEM pair needs nothing.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_JKS = b"\xfe\xed\xfe\xed"
_EXTRA = "It needs the package cryptography: pip install 'flambeau[tls]'."


class TlsError(ValueError):
    """The certificate settings cannot be used; the message names the setting and the remedy."""


class Pair(NamedTuple):
    """A certificate chain and its private key, both as unencrypted PEM."""

    certificate: bytes
    key: bytes


def read_pair(
    *,
    certificate_file: Path | None = None,
    private_key_file: Path | None = None,
    keystore: Path | None = None,
    keystore_pass: str = "changeit",  # noqa: S107 - the documented default of the setting
    keystore_type: str = "PKCS12",
) -> Pair:
    """The pair the settings name: keystore before PEM files, else a self-signed one.

    Raises TlsError.
    """
    if keystore is not None:
        return _from_keystore(keystore, keystore_pass, keystore_type)
    if certificate_file is not None and private_key_file is not None:
        return Pair(
            _content(certificate_file, "certificate_file"),
            _content(private_key_file, "private_key_file"),
        )
    if certificate_file is not None or private_key_file is not None:
        given, missing = "certificate_file", "private_key_file"
        if certificate_file is None:
            given, missing = missing, given
        raise TlsError(f"{given} is set and {missing} is not: https needs both.")
    return self_signed()


def context_of(pair: Pair) -> ssl.SSLContext:
    """A server context for TLS 1.2 and 1.3. Raises TlsError for a pair that does not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL takes paths only; memory files leave no key on a disk.
    certificate, key = _memory_file(pair.certificate), _memory_file(pair.key)
    try:
        context.load_cert_chain(
            f"/proc/self/fd/{certificate}", f"/proc/self/fd/{key}", password=_no_password
        )
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            reason = "the private key does not belong to the certificate"
        else:
            reason = "certificate or key is not in PEM form"
        raise TlsError(f"TLS cannot be set up: {reason} ({error.reason}).") from error
    finally:
        os.close(certificate)
        os.close(key)
    return context


def self_signed(days: int = 365) -> Pair:
    """A new certificate for localhost that nobody vouches for. Raises TlsError."""
    try:
        from cryptography import x509  # noqa: PLC0415 - extra tls
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - extra tls
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - extra tls
    except ImportError as error:
        raise TlsError(
            "An address says https and no certificate is set. Set certificate_file and "
            f"private_key_file, or let flambeau make a self-signed one. {_EXTRA}"
        ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(key, [certificate])


def _from_keystore(path: Path, password: str, kind: str) -> Pair:
    content = _content(path, "keystore")
    if kind.upper() != "PKCS12" or content.startswith(_JKS):
        raise TlsError(
            f"keystore {path} is of type {kind if kind.upper() != 'PKCS12' else 'JKS'}; only "
            f"PKCS12 is read. Convert it: keytool -importkeystore -srckeystore {path} "
            "-destkeystore keystore.p12 -deststoretype PKCS12"
        )
    try:
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - extra tls
            pkcs12,
        )
    except ImportError as error:
        raise TlsError(
            f"keystore {path} cannot be read. {_EXTRA} Or set certificate_file and "
            "private_key_file."
        ) from error
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(content, password.encode())
    except ValueError as error:
        raise TlsError(
            f"keystore {path} cannot be opened: wrong keystore_pass, or no PKCS12 file."
        ) from error
    if key is None or certificate is None:
        raise TlsError(f"keystore {path} holds no private key with a certificate.")
    return _pem(key, [certificate, *chain])


def _pem(key: PrivateKeyTypes, certificates: list[Certificate]) -> Pair:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - extra tls
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return Pair(
        b"".join([certificate.public_bytes(Encoding.PEM) for certificate in certificates]),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _content(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{setting} {path} cannot be read: {error.strerror}.") from error


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("flambeau-tls", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    return descriptor


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal and the server would hang.
    raise TlsError("private_key_file is encrypted; give one without a password.")
