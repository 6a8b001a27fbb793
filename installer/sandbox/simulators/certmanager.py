"""cert-manager: its webhook's own authority, issuers, and certificates into Secrets.

Field managers and the order of conditions are the recorded ones of 0.15.1 (one manager,
`controller`); from 1.8 on each of its controllers writes under its own name.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from installer.core.objects import Object, conditions, dig
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.api import MERGE, path_of
from installer.sandbox.simulators.certificates import (
    Keys,
    Pair,
    authority,
    issue,
    new_ecdsa,
    not_after,
    pem_key,
    self_signed,
)
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.identity import dynamic_secret, encoded, secret_data
from installer.sandbox.simulators.world import World, now, ran

GROUP = "cert-manager.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1alpha2")
"""The versions that are stored: by cert-manager from 1.0 on, and before."""

WEBHOOK_SECRET_AFTER, LEADER, ISSUE = 1.0, 2.0, 0.3
"""Seconds, recorded: the webhook's Secret after its start, work after the start, per step."""

Status = dict[str, Any]


class CertManagerKinds:
    """cert-manager's resources at the stored version, so that reading needs no conversion."""

    def __init__(self, world: World):
        self.certificates = world.cache(VERSIONS[0], "certificates", *VERSIONS[1:])
        self.issuers = world.cache(VERSIONS[0], "issuers", *VERSIONS[1:])
        self.cluster_issuers = world.cache(VERSIONS[0], "clusterissuers", *VERSIONS[1:])
        world.crds.subscribe(self._crd)

    def _crd(self, kind: str, crd: Object) -> None:
        if crd["metadata"]["name"].endswith(f".{GROUP}") and kind != "deleted":
            for cache in (self.certificates, self.issuers, self.cluster_issuers):
                if not cache.all():
                    cache.poke()
                cache.reconsider()


class CertManagerWebhook:
    """Keeps the authority of cert-manager's webhook in its Secret."""

    def __init__(self, world: World):
        self._world = world
        world.reconcile("cert-manager-webhook", self._reconcile, world.pods, world.secrets)

    def _reconcile(self) -> float | None:
        for pod in self._world.running(roles.CERT_MANAGER_WEBHOOK):
            waited = ran(pod)
            if waited < self._world.delay(WEBHOOK_SECRET_AFTER):
                return self._world.delay(WEBHOOK_SECRET_AFTER) - waited
            namespace, name = dynamic_secret(pod)
            if not secret_data(self._world.secrets.get(namespace, name), "tls.crt"):
                self._write(namespace, name)
        return None

    def _write(self, namespace: str, name: str) -> None:
        ca = authority(new_ecdsa(), name="cert-manager-webhook-ca")
        data = encoded({"ca.crt": ca.certificate, "tls.crt": ca.certificate, "tls.key": ca.key})
        body: Object = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {"cert-manager.io/allow-direct-injection": "true"},
            },
            "type": "Opaque",
            "data": data,
        }
        made = self._world.api.create(path_of("v1", "secrets", namespace), body, "webhook")
        if made is None:
            path = path_of("v1", "secrets", namespace, name)
            made = self._world.api.patch(path, {"data": data}, "webhook", MERGE)
        self._world.secrets.put(made)


class CertManager:
    """Makes issuers Ready and certificates real (selfSigned and CA issuers)."""

    def __init__(self, world: World, kinds: CertManagerKinds, keys: Keys, events: Events):
        self._world = world
        self._kinds = kinds
        self._keys = keys
        self._events = events
        self._version = (99, 0)
        causes = [world.pods, world.secrets, kinds.certificates, kinds.issuers]
        world.reconcile("cert-manager", self._reconcile, *causes, kinds.cluster_issuers)

    def _reconcile(self) -> float | None:
        pods = self._world.running(roles.CERT_MANAGER)
        if not pods:
            return None
        waited = ran(pods[0])
        if waited < self._world.delay(LEADER):
            return self._world.delay(LEADER) - waited
        self._version = roles.image_version(pods[0], "cert-manager-controller")
        for issuer in [*self._kinds.issuers.all(), *self._kinds.cluster_issuers.all()]:
            self._issuer(issuer)
        waits = [self._certificate(certificate) for certificate in self._kinds.certificates.all()]
        return min((wait for wait in waits if wait is not None), default=None)

    def _manager(self, controller: str) -> str:
        return "controller" if self._version < (1, 8) else f"cert-manager-{controller}"

    def _issuer(self, issuer: Object) -> None:
        if issuer["metadata"].get("deletionTimestamp") or "Ready" in conditions(issuer):
            return
        condition: Status = {"type": "Ready", "status": "True", "lastTransitionTime": now()}
        if self._version >= (1, 0):
            condition["observedGeneration"] = issuer["metadata"].get("generation", 1)
        if dig(issuer, "spec", "ca"):
            condition |= {"reason": "KeyPairVerified", "message": "Signing CA verified"}
        plural = "clusterissuers" if issuer["kind"] == "ClusterIssuer" else "issuers"
        cache = self._kinds.cluster_issuers if plural == "clusterissuers" else self._kinds.issuers
        cache.put(self._status(issuer, plural, {"conditions": [condition]}, plural))

    def _certificate(self, certificate: Object) -> float | None:
        metadata, spec = certificate["metadata"], certificate["spec"]
        issuer = self._issuer_of(certificate)
        if metadata.get("deletionTimestamp") or issuer is None:
            return None
        secret = self._world.secrets.get(metadata["namespace"], spec.get("secretName", ""))
        if not secret_data(secret, "tls.crt"):
            if not self._requested(certificate):
                return self._request(certificate, secret)
            return self._issue(certificate, issuer)
        ready = conditions(certificate).get("Ready", {})
        generation = metadata.get("generation", 1)
        if (
            ready.get("status") != "True"
            or ready.get("observedGeneration", generation) != generation
        ):
            self._make_ready(certificate, secret_data(secret, "tls.crt"))
        return None

    def _requested(self, certificate: Object) -> Object | None:
        return self._world.api.get(self._request_path(certificate, _request_name(certificate)))

    def _request_path(self, certificate: Object, name: str = "") -> str:
        namespace = certificate["metadata"]["namespace"]
        return path_of(certificate["apiVersion"], "certificaterequests", namespace, name)

    def _issuer_of(self, certificate: Object) -> Object | None:
        reference = certificate["spec"].get("issuerRef") or {}
        if reference.get("kind", "Issuer") == "ClusterIssuer":
            return self._kinds.cluster_issuers.get("", reference.get("name", ""))
        return self._kinds.issuers.get(
            certificate["metadata"]["namespace"], reference.get("name", "")
        )

    def _request(self, certificate: Object, secret: Object | None) -> float:
        """A private key (before 1.0 in a Secret without certificate), then a request."""
        metadata, spec = certificate["metadata"], certificate["spec"]
        key = self._keys.rsa()
        if self._version < (1, 0) and secret is None:
            empty = Pair(b"", pem_key(key))
            self._write_secret(certificate, empty, b"")
            self._condition(certificate, "False", "Pending", "Certificate pending issuance")
        name = _request_name(certificate)
        subject = x509.Name([])
        signing = x509.CertificateSigningRequestBuilder().subject_name(subject)
        request = signing.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        wanted = base64.b64encode(request).decode()
        body: Object = {
            "apiVersion": certificate["apiVersion"],
            "kind": "CertificateRequest",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "annotations": {"cert-manager.io/certificate-name": metadata["name"]},
                "ownerReferences": [_owner(certificate)],
            },
            "spec": {
                "issuerRef": spec["issuerRef"],
                ("csr" if self._version < (1, 0) else "request"): wanted,
            },
        }
        manager = self._manager("certificates-request-manager")
        self._world.api.create(self._request_path(certificate), body, manager)
        self._tell(certificate, "Requested", f'Created new CertificateRequest resource "{name}"')
        if self._version < (1, 0):
            text = f'Waiting for CertificateRequest "{name}" to complete'
            self._condition(certificate, "False", "InProgress", text)
        return self._world.delay(ISSUE)

    def _issue(self, certificate: Object, issuer: Object) -> float | None:
        spec, namespace = certificate["spec"], certificate["metadata"]["namespace"]
        names = list(spec.get("dnsNames") or [])
        common = spec.get("commonName") or ""
        if dig(issuer, "spec", "ca"):
            where = namespace if issuer["kind"] == "Issuer" else "cert-manager"
            secret = self._world.secrets.get(where, issuer["spec"]["ca"]["secretName"])
            ca = Pair(secret_data(secret, "tls.crt"), secret_data(secret, "tls.key"))
            if not ca.certificate:
                return None
            pair, root = issue(ca, self._keys.rsa(), names, name=common), ca.certificate
        elif spec.get("isCA"):
            pair = authority(self._keys.rsa(), name=common)
            root = pair.certificate
        else:
            pair = self_signed(self._keys.rsa(), common, names)
            root = pair.certificate
        self._write_secret(certificate, pair, root)
        self._answer_request(certificate, pair, root)
        self._tell(certificate, "Issued", "Certificate issued successfully")
        self._make_ready(certificate, pair.certificate)
        return None

    def _answer_request(self, certificate: Object, pair: Pair, root: bytes) -> None:
        name = _request_name(certificate)
        stamp = now()
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Issued",
            "message": "Certificate fetched from issuer successfully",
            "lastTransitionTime": stamp,
        }
        entries = [ready]
        if self._version >= (1, 3):
            approved = {
                "type": "Approved",
                "status": "True",
                "reason": "cert-manager.io",
                "message": "Certificate request has been approved by cert-manager.io",
                "lastTransitionTime": stamp,
            }
            entries.insert(0, approved)
        status = {"conditions": entries} | encoded({"certificate": pair.certificate, "ca": root})
        manager = self._manager("certificaterequests-issuer-selfsigned")
        path = self._request_path(certificate, name)
        self._world.api.patch(f"{path}/status", {"status": status}, manager, MERGE)

    def _write_secret(self, certificate: Object, pair: Pair, root: bytes) -> None:
        metadata, spec = certificate["metadata"], certificate["spec"]
        namespace, name = metadata["namespace"], spec["secretName"]
        reference = spec.get("issuerRef") or {}
        annotations = {
            "cert-manager.io/alt-names": ",".join(spec.get("dnsNames") or []),
            "cert-manager.io/certificate-name": metadata["name"],
            "cert-manager.io/common-name": spec.get("commonName") or "",
            "cert-manager.io/ip-sans": "",
            "cert-manager.io/issuer-kind": reference.get("kind", "Issuer"),
            "cert-manager.io/issuer-name": reference.get("name", ""),
            "cert-manager.io/uri-sans": "",
        }
        if self._version >= (1, 0):
            annotations["cert-manager.io/issuer-group"] = reference.get("group") or ""
        data = encoded({"ca.crt": root, "tls.crt": pair.certificate, "tls.key": pair.key})
        manager = self._manager("certificates-issuing")
        body: Object = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "type": "kubernetes.io/tls",
            "data": data,
        }
        made = self._world.api.create(path_of("v1", "secrets", namespace), body, manager)
        if made is None:
            patch = {"metadata": {"annotations": annotations}, "data": data}
            path = path_of("v1", "secrets", namespace, name)
            made = self._world.api.patch(path, patch, manager, MERGE)
        self._world.secrets.put(made)

    def _make_ready(self, certificate: Object, served: bytes) -> None:
        end = not_after(served).strftime("%Y-%m-%dT%H:%M:%SZ")
        more: Status = {"notAfter": end}
        if self._version >= (1, 0):
            more |= {"revision": 1, "notBefore": now(), "renewalTime": end}
        text = "Certificate is up to date and has not expired"
        self._condition(certificate, "True", "Ready", text, more)

    def _condition(
        self,
        certificate: Object,
        status: str,
        reason: str,
        message: str,
        more: Status | None = None,
    ) -> None:
        condition: Status = {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": now(),
        }
        if self._version >= (1, 0):
            condition["observedGeneration"] = certificate["metadata"].get("generation", 1)
        body = {"conditions": [condition]} | (more or {})
        done = self._status(certificate, "certificates", body, "certificates-readiness")
        self._kinds.certificates.put(done)

    def _status(self, obj: Object, plural: str, status: Status, controller: str) -> Object:
        metadata = obj["metadata"]
        path = path_of(obj["apiVersion"], plural, metadata.get("namespace", ""), metadata["name"])
        manager = self._manager(controller)
        return self._world.api.patch(f"{path}/status", {"status": status}, manager, MERGE)

    def _tell(self, certificate: Object, reason: str, message: str) -> None:
        if not self._world.instant:
            self._events.about(certificate, "Normal", reason, message, source="cert-manager")


def _request_name(certificate: Object) -> str:
    spec = str(sorted(certificate["spec"].items(), key=str))
    return f"{certificate['metadata']['name']}-{zlib.crc32(spec.encode())}"


def _owner(obj: Object) -> Status:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
