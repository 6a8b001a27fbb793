"""Certificates as the imitated controllers issue them."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, both PEM."""

    certificate: bytes
    key: bytes


class Keys:
    """RSA keys made ahead of time, since making one takes about 0.1 s of CPU."""

    def __init__(self, stock: int):
        self._stock: queue.SimpleQueue[rsa.RSAPrivateKey] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._fill, args=(stock,), daemon=True, name="keys")
        self._thread.start()

    def _fill(self, stock: int) -> None:
        for _ in range(stock):
            self._stock.put(new_rsa())

    def rsa(self) -> rsa.RSAPrivateKey:
        """A fresh RSA key, from stock when there is one."""
        try:
            return self._stock.get_nowait()
        except queue.Empty:
            return new_rsa()


def new_rsa() -> rsa.RSAPrivateKey:
    """A 2048-bit RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def new_ecdsa() -> ec.EllipticCurvePrivateKey:
    """A P-384 key, as cert-manager's webhook makes for itself."""
    return ec.generate_private_key(ec.SECP384R1())


def authority(key: PrivateKey, *, name: str = "", organisation: str = "") -> Pair:
    """A self-signed certificate authority."""
    return _sign(key, key.public_key(), _name(name, organisation), None, ca=True)


def self_signed(key: PrivateKey, name: str, names: list[str]) -> Pair:
    """A certificate that signs itself without being an authority, as a selfSigned Issuer makes."""
    return _sign(key, key.public_key(), _name(name, ""), None, names=names)


def issue(
    ca: Pair,
    key: PrivateKey,
    names: list[str],
    *,
    name: str = "",
    start: timedelta = timedelta(),
    valid: timedelta = YEAR,
) -> Pair:
    """A server certificate for DNS names, signed by `ca`; without names it has a Common Name only.

    start: when validity begins, from now (negative: in the past). valid: how long it lasts.
    """
    signer = serialization.load_pem_private_key(ca.key, None)
    assert isinstance(signer, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(ca.certificate).subject
    subject = _name(name or (names[0] if names else ""), "")
    pair = _sign(signer, key.public_key(), subject, issuer, names=names, start=start, valid=valid)
    return Pair(pair.certificate, pem_key(key))


def pem_key(key: PrivateKey) -> bytes:
    """The key as PEM (PKCS #1 or SEC 1)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def impostor(served: bytes) -> Pair:
    """An authority with the name of the one that signed `served`, but another key of its kind."""
    certificate = x509.load_pem_x509_certificate(served)
    elliptic = "ecdsa" in certificate.signature_algorithm_oid._name.lower()
    key: PrivateKey = new_ecdsa() if elliptic else new_rsa()
    return _sign(key, key.public_key(), certificate.issuer, None, ca=True)


def not_after(certificate: bytes) -> datetime:
    """When a PEM certificate expires."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def _name(common: str, organisation: str) -> x509.Name:
    parts = []
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    if common:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common[:64]))
    return x509.Name(parts)


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(
    signer: PrivateKey,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name | None,
    *,
    names: list[str] | None = None,
    ca: bool = False,
    start: timedelta = timedelta(),
    valid: timedelta = YEAR,
) -> Pair:
    # One minute back, so that a clock that runs a little behind accepts it.
    begin = datetime.now(UTC) + start - timedelta(minutes=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + valid)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca), critical=True)
    )
    if not ca:
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(server, critical=False)
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
        builder = builder.add_extension(alternatives, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    return Pair(certificate.public_bytes(serialization.Encoding.PEM), pem_key(signer))
