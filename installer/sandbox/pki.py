"""The sandbox's certificate authority, certificates and kubeconfig. Keys are ECDSA P-256."""

from __future__ import annotations

import base64
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=3650)
# A server whose clock is a little behind must accept fresh certificates.
_BACKDATED = timedelta(hours=1)


class Authority:
    """A certificate authority whose files are `<directory>/ca.crt` and `ca.key`."""

    def __init__(self, directory: Path, common_name: str) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        public = self._key.public_key()
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._cert = (
            _builder(self._name, self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        write_private(directory / "ca.key", _key_pem(self._key))
        write_private(directory / "ca.crt", self._cert.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        common_name: str,
        *,
        organizations: tuple[str, ...] = (),
        hosts: tuple[str, ...] = (),
    ) -> None:
        """Write `<name>.crt` and `<name>.key`: a client's, and with `hosts` also a server's.

        hosts: DNS names and IP addresses of the Subject Alternative Name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(subject, self._name, key.public_key())
        if hosts:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        cert = (
            builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        write_private(self.directory / f"{name}.key", _key_pem(key))
        write_private(self.directory / f"{name}.crt", cert.public_bytes(serialization.Encoding.PEM))


def create(directory: Path) -> None:
    """Write every key and certificate that a sandbox needs into `directory` (made if absent)."""
    directory.mkdir(mode=0o700, exist_ok=True)
    authority = Authority(directory, "kserve-installer sandbox")
    authority.issue(
        "kube-apiserver",
        "kube-apiserver",
        hosts=("127.0.0.1", "10.96.0.1", "localhost", "kubernetes", "kubernetes.default.svc"),
    )
    authority.issue("admin", "sandbox-admin", organizations=("system:masters",))
    # system:masters: controllers need no RBAC of their own and start without waiting for it.
    authority.issue(
        "kube-controller-manager",
        "system:kube-controller-manager",
        organizations=("system:masters",),
    )
    authority.issue("front-proxy", "front-proxy-client")
    write_private(
        directory / "service-accounts.key", _key_pem(ec.generate_private_key(ec.SECP256R1()))
    )


def write_kubeconfig(path: Path, *, context: str, server: str, pki: Path, user: str) -> None:
    """Write a kubeconfig (mode 0600) with the certificates of `user` embedded."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": context,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _embedded(pki / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _embedded(pki / f"{user}.crt"),
                    "client-key-data": _embedded(pki / f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False).encode())


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, replacing what was there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    temporary.replace(path)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _VALID)
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # "EC PRIVATE KEY": Kubernetes 1.20's service account keys are not read as PKCS #8 EC keys.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
