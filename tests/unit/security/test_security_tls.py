from __future__ import annotations

import ssl
import sys
from datetime import UTC, datetime, timedelta

import pytest

from flambeau.security.tls import Pair, TlsError, context_of, read_pair, self_signed

pytest.importorskip("cryptography")
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Two ends in memory; the TLS version they agree on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    two = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    done = {one: False, two: False}
    for _ in range(10):
        for end in (two, one):
            if not done[end]:
                try:
                    end.do_handshake()
                    done[end] = True
                except ssl.SSLWantReadError:
                    pass
        if all(done.values()):
            return two.version() or ""
    raise AssertionError("no handshake")


def client_for(pair: Pair) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pair.certificate.decode())


@pytest.fixture(scope="module")
def pair() -> Pair:
    return self_signed()


@pytest.fixture
def files(pair, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return certificate, key


@pytest.fixture(scope="module")
def rsa_pair():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


@pytest.mark.parametrize(
    ("version", "spelled"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_both_tls_versions_are_spoken(pair, version, spelled):
    client = client_for(pair)
    client.minimum_version = client.maximum_version = version
    assert shake_hands(context_of(pair), client) == spelled


def test_older_versions_are_not_spoken(pair):
    assert context_of(pair).minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_pem_pair_is_read(files, pair):
    certificate, key = files
    found = read_pair(certificate_file=certificate, private_key_file=key)
    assert found == pair
    shake_hands(context_of(found), client_for(pair))


def test_a_pkcs1_rsa_key_is_taken(rsa_pair, tmp_path):
    key, certificate = rsa_pair
    (tmp_path / "c").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "k").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    found = read_pair(certificate_file=tmp_path / "c", private_key_file=tmp_path / "k")
    shake_hands(context_of(found), client_for(found))


def test_a_keystore_is_read_and_beats_the_pem_pair(rsa_pair, files, tmp_path):
    key, certificate = rsa_pair
    store = tmp_path / "keystore.p12"
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", key, certificate, None, BestAvailableEncryption(b"changeit")
        )
    )
    found = read_pair(keystore=store, certificate_file=files[0], private_key_file=files[1])
    assert found.certificate == certificate.public_bytes(Encoding.PEM)
    shake_hands(context_of(found), client_for(found))


def test_a_wrong_keystore_password_is_said(rsa_pair, tmp_path):
    key, certificate = rsa_pair
    store = tmp_path / "keystore.p12"
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", key, certificate, None, BestAvailableEncryption(b"other")
        )
    )
    with pytest.raises(TlsError, match="wrong keystore_pass"):
        read_pair(keystore=store)


def test_a_keystore_without_a_key_is_said(rsa_pair, tmp_path):
    store = tmp_path / "keystore.p12"
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", None, None, [rsa_pair[1]], BestAvailableEncryption(b"changeit")
        )
    )
    with pytest.raises(TlsError, match="holds no private key"):
        read_pair(keystore=store)


def test_a_jks_keystore_is_refused_with_the_command_that_converts_it(tmp_path):
    store = tmp_path / "keystore.jks"
    store.write_bytes(b"\xfe\xed\xfe\xed\x00\x00\x00\x02")
    with pytest.raises(TlsError, match="keytool -importkeystore"):
        read_pair(keystore=store)
    with pytest.raises(TlsError, match="of type BKS"):
        read_pair(keystore=store, keystore_type="BKS")


def test_nothing_set_gives_a_self_signed_certificate(monkeypatch):
    found = read_pair()
    shake_hands(context_of(found), client_for(found))


def test_without_the_extra_the_remedy_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(TlsError, match=r"flambeau\[tls\]"):
        read_pair()
    store = tmp_path / "keystore.p12"
    store.write_bytes(b"x")
    with pytest.raises(TlsError, match=r"flambeau\[tls\]"):
        read_pair(keystore=store)


def test_half_a_pair_is_refused(files):
    with pytest.raises(TlsError, match="private_key_file is not"):
        read_pair(certificate_file=files[0])
    with pytest.raises(TlsError, match="certificate_file is not"):
        read_pair(private_key_file=files[1])


def test_a_missing_file_is_named(files, tmp_path):
    with pytest.raises(TlsError, match=r"private_key_file .*nope cannot be read"):
        read_pair(certificate_file=files[0], private_key_file=tmp_path / "nope")


def test_a_key_of_another_certificate_is_refused(pair):
    with pytest.raises(TlsError, match="does not belong"):
        context_of(Pair(pair.certificate, self_signed().key))


def test_what_is_no_pem_is_refused(pair):
    with pytest.raises(TlsError, match="not in PEM form"):
        context_of(Pair(pair.certificate, b"hello"))


def test_an_encrypted_key_is_refused_instead_of_asked_for_on_the_terminal(pair):
    key = load_pem_private_key(pair.key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    with pytest.raises(TlsError, match="encrypted"):
        context_of(Pair(pair.certificate, key))
