"""Finding the API server and the credentials for it, and saying what is wrong with them."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from self_signed import self_signed

from installer.cluster import transport
from installer.cluster.access import Access
from installer.cluster.client import Cluster
from installer.cluster.connect import find_access
from installer.cluster.errors import ApiError
from installer.cluster.transport import proxy_of_environment, tls_context
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted, NotReady, UsageError
from installer.sandbox.options import SandboxInfo

SECRET = "s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def no_cluster_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "production",
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [
            {"name": "production", "context": {"cluster": "c", "user": "u"}},
            {"name": "staging", "context": {"cluster": "c", "user": "u"}},
        ],
    }


def written(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def plugin(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def exec_user(command: str, **more: Any) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1beta1"
    return {"exec": {"apiVersion": version, "command": command, **more}}


def credential(**status: str) -> str:
    version = "client.authentication.k8s.io/v1beta1"
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def refusal(*arguments: Any, **options: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        find_access(*arguments, **options)
    return caught.value


def test_without_a_kubeconfig_it_says_where_it_looked(tmp_path: Path) -> None:
    error = refusal()
    assert str(tmp_path / ".kube/config") in error.message
    assert "--kubeconfig" in error.remedy


def test_a_kubeconfig_that_is_named_must_exist(tmp_path: Path) -> None:
    assert refusal(str(tmp_path / "nowhere")).object == str(tmp_path / "nowhere")


def test_an_unknown_context_lists_the_known_and_offers_the_nearest(tmp_path: Path) -> None:
    error = refusal(written(tmp_path / "config", kubeconfig()), "prodution")
    assert "production, staging" in error.message
    assert "did you mean production?" in error.remedy


def test_without_a_current_context_the_known_are_listed(tmp_path: Path) -> None:
    error = refusal(written(tmp_path / "config", {**kubeconfig(), "current-context": ""}))
    assert "production, staging" in error.message
    assert "--context" in error.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [1,\nb", "not valid YAML (line"),
        ("- a", "no mapping at the top"),
        ("contexts: {a: b}", "contexts in this kubeconfig is not a list"),
        ("contexts: [{context: {}}]", "an entry of contexts has no name"),
        ("", "the kubeconfig is empty"),
        ("# nothing\n", "the kubeconfig is empty"),
        ("{}", "the kubeconfig has no contexts, so it leads to no cluster"),
        ("current-context: a", "the kubeconfig has no contexts"),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: b}}]",
            "names cluster 'b', which is not there",
        ),
        (kubeconfig(server="example.org"), "no server address that starts with https://"),
        (kubeconfig(**{"certificate-authority-data": "???"}), "is not base64"),
        (kubeconfig({"client-certificate": "gone.crt"}), "client-certificate that the kubeconfig"),
    ],
)
def test_a_broken_kubeconfig_is_explained(tmp_path: Path, content: Any, said: str) -> None:
    assert said in refusal(written(tmp_path / "config", content)).message


@pytest.mark.parametrize(
    "content", ["", "{}", "a: [1,\nb", {**kubeconfig(), "current-context": ""}]
)
def test_a_broken_kubeconfig_is_named(tmp_path: Path, content: Any) -> None:
    assert refusal(written(tmp_path / "config", content)).object == str(tmp_path / "config")


def test_an_unreadable_kubeconfig_is_explained(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    assert "cannot be read" in refusal(str(tmp_path / "config")).message


def test_several_kubeconfigs_are_read_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "token").write_text(f"{SECRET}\n")
    contexts = {"current-context": "production", "contexts": kubeconfig()["contexts"]}
    rest = kubeconfig({"tokenFile": "token"})
    del rest["contexts"]
    first = written(tmp_path / "contexts", contexts)
    second = written(tmp_path / "elsewhere" / "rest", {**rest, "current-context": "staging"})
    missing = str(tmp_path / "missing")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([first, missing, second]))
    access = find_access()
    assert access.context == "production"
    assert access.server == "https://192.0.2.1:6443"
    assert access.authorization == f"Bearer {SECRET}"


def test_an_account_acted_for_is_sent_along(tmp_path: Path) -> None:
    user = {"token": SECRET, "as": "jane", "as-groups": ["developers", "admins"]}
    access = find_access(written(tmp_path / "config", kubeconfig(user)))
    assert access.headers == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "developers"),
        ("Impersonate-Group", "admins"),
    )


def test_credentials_are_not_shown(tmp_path: Path) -> None:
    access = find_access(written(tmp_path / "config", kubeconfig({"token": SECRET})))
    assert access.authorization == f"Bearer {SECRET}"
    assert SECRET not in repr(access)


def test_a_credential_plugin_that_is_not_installed_is_named_with_its_hint(tmp_path: Path) -> None:
    user = exec_user("no-such-cloud-cli", installHint="Get it\nfrom the cloud.")
    error = refusal(written(tmp_path / "config", kubeconfig(user)))
    assert "no-such-cloud-cli" in error.message
    assert error.remedy == "Get it from the cloud."


def test_a_failing_credential_plugin_is_quoted_without_what_it_printed(tmp_path: Path) -> None:
    script = plugin(tmp_path / "login", f"echo {SECRET}; echo 'session expired' >&2; exit 3")
    error = refusal(written(tmp_path / "config", kubeconfig(exec_user(script))))
    assert "session expired" in error.message
    assert SECRET not in error.message + error.remedy


@pytest.mark.parametrize("output", [SECRET, "{}", credential()])
def test_a_credential_plugin_that_prints_nonsense_is_told(tmp_path: Path, output: str) -> None:
    script = plugin(tmp_path / "login", f"cat <<'END'\n{output}\nEND")
    error = refusal(written(tmp_path / "config", kubeconfig(exec_user(script))))
    assert error.message.startswith("no credentials for user u: ")
    assert SECRET not in error.message


def test_a_credential_plugin_that_does_not_end_is_left_when_the_time_is_up(tmp_path: Path) -> None:
    script = plugin(tmp_path / "login", "exec sleep 6")
    began = time.monotonic()

    with pytest.raises(NotReady) as caught:
        find_access(written(tmp_path / "config", kubeconfig(exec_user(script))), None, Cancel(0.1))

    assert f"waiting for the credential plugin {script}" in caught.value.message
    assert time.monotonic() - began < 4


def test_a_credential_plugin_that_waits_is_left_when_the_run_is_interrupted(tmp_path: Path) -> None:
    script = plugin(tmp_path / "login", "exec sleep 6")
    cancel = Cancel()
    threading.Timer(0.3, cancel.stop).start()
    began = time.monotonic()

    with pytest.raises(Interrupted):
        find_access(written(tmp_path / "config", kubeconfig(exec_user(script))), None, cancel)

    assert time.monotonic() - began < 4


def test_a_credential_plugin_beside_the_kubeconfig_is_found(tmp_path: Path) -> None:
    plugin(tmp_path / "login", f"cat <<'END'\n{credential(token=SECRET)}\nEND")
    access = find_access(written(tmp_path / "config", kubeconfig(exec_user("./login"))))
    assert access.authorization == f"Bearer {SECRET}"


def test_a_pod_uses_its_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: SandboxInfo
) -> None:
    incluster = pytest.importorskip("kubernetes.config.incluster_config")
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    ca = config["clusters"][0]["cluster"]["certificate-authority-data"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(ca))
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setattr(incluster, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(incluster, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    host, port = sandbox.server.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    access = find_access()
    assert (access.context, access.server) == ("in-cluster", sandbox.server)
    assert access.authorization.lower() == f"bearer {SECRET}"


def test_a_pod_without_a_service_account_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert "no usable service account" in refusal().message


def failed(path: str, **options: Any) -> ApiError:
    cluster = Cluster.connect(kubeconfig=path, retry_for=0.5, request_timeout=1.0, **options)
    with pytest.raises(ApiError) as caught:
        cluster.identity()
    cluster.close()
    return caught.value


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_unreachable_server_is_named_with_how_long_it_was_tried(tmp_path: Path) -> None:
    server = f"https://127.0.0.1:{closed_port()}"
    error = failed(written(tmp_path / "config", kubeconfig(server=server)))
    assert error.kind == "unreachable"
    assert server in error.message
    assert "tried for" in error.message
    assert "connection refused" in error.message


def test_a_server_name_that_does_not_resolve_is_told(tmp_path: Path) -> None:
    error = failed(written(tmp_path / "config", kubeconfig(server="https://no.such.invalid")))
    assert error.kind == "unreachable"
    assert "cannot be resolved" in error.message


def test_a_server_that_accepts_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"https://127.0.0.1:{silent.getsockname()[1]}"
        error = failed(written(tmp_path / "config", kubeconfig(server=server)))
    assert error.kind == "timeout"
    assert server in error.message


class _LoginPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>please log in</html>")

    def log_message(self, format: str, *args: Any) -> None:
        """Tests need no access log."""


@pytest.fixture
def web_site() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _LoginPage) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_is_no_kubernetes_is_told(tmp_path: Path, web_site: str) -> None:
    error = failed(written(tmp_path / "config", kubeconfig(server=web_site)))
    assert "not that of a Kubernetes API server" in error.message


class _Tunnel(http.server.BaseHTTPRequestHandler):
    """An HTTP proxy that tunnels; the server's `asked` lists where to."""

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=self._pump, args=(upstream, self.connection))
            back.start()
            self._pump(self.connection, upstream)
            back.join()
        self.close_connection = True

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65536):
            target.sendall(data)
        with contextlib.suppress(OSError):  # gone already
            target.shutdown(socket.SHUT_WR)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests need no access log."""


@pytest.fixture
def http_proxy() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tunnel)
    server.asked = []  # type: ignore[attr-defined]
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.cluster
def test_the_proxy_of_a_cluster_is_used(
    sandbox: SandboxInfo, tmp_path: Path, http_proxy: http.server.ThreadingHTTPServer
) -> None:
    user = yaml.safe_load(sandbox.kubeconfig.read_text())["users"][0]["user"]
    through = {"proxy-url": f"http://127.0.0.1:{http_proxy.server_port}"}
    cluster = Cluster.connect(kubeconfig=edited(sandbox, tmp_path / "config", user, **through))
    assert cluster.identity().server == sandbox.server
    cluster.close()
    assert http_proxy.asked == [sandbox.server.removeprefix("https://")]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("server", "no_proxy", "expected"),
    [
        ("https://api.example.org:6443", "", "http://proxy.example.org:3128"),
        ("https://api.example.org:6443", "localhost,.example.org", ""),
        ("https://10.1.2.3:6443", "10.0.0.0/8", ""),
        ("https://192.0.2.1:6443", "10.0.0.0/8", "http://proxy.example.org:3128"),
        ("https://127.0.0.1:6443", "", ""),
    ],
)
def test_the_proxy_of_the_environment_is_used_as_kubectl_does(
    monkeypatch: pytest.MonkeyPatch, server: str, no_proxy: str, expected: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    assert proxy_of_environment(server) == expected


def test_a_proxy_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "config", kubeconfig(**{"proxy-url": "socks5://127.0.0.1:1080"}))
    with pytest.raises(UsageError) as caught:
        Cluster.connect(kubeconfig=path)
    assert "neither http:// nor https://" in caught.value.message


def certificate(*, days: int) -> tuple[bytes, bytes]:
    """A client certificate that no API server knows, and its key, valid for so many days."""
    return self_signed("stranger", days=days)


def edited(sandbox: SandboxInfo, path: Path, user: dict[str, Any], **cluster: Any) -> str:
    """The sandbox's kubeconfig with another user, and other settings of the cluster."""
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"][0]["user"] = user
    config["clusters"][0]["cluster"].update(cluster)
    return written(path, config)


def client_certificate(*, days: int) -> dict[str, str]:
    public, private = certificate(days=days)
    return {
        "client-certificate-data": base64.b64encode(public).decode(),
        "client-key-data": base64.b64encode(private).decode(),
    }


def test_a_client_certificate_needs_no_disk_that_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate, key = self_signed("somebody")
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    tls_context(Access("c", "https://192.0.2.1", certificate=certificate, key=key))
    with pytest.raises(UsageError, match="cannot be used"):  # it was read: the key is another's
        tls_context(
            Access("c", "https://192.0.2.1", certificate=certificate, key=self_signed("other")[1])
        )


def test_without_files_in_memory_a_client_certificate_is_on_disk_only_while_it_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = self_signed("somebody")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(transport, "_MEMORY_FILES", False)
    tls_context(Access("c", "https://192.0.2.1", certificate=certificate, key=key))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.cluster
def test_an_expired_client_certificate_is_told(sandbox: SandboxInfo, tmp_path: Path) -> None:
    error = failed(edited(sandbox, tmp_path / "config", client_certificate(days=-10)))
    assert error.kind == "unauthorized"
    assert f"client certificate of context {sandbox.context} expired on" in error.message


@pytest.mark.cluster
def test_a_token_that_is_not_accepted_is_told_but_not_shown(
    sandbox: SandboxInfo, tmp_path: Path
) -> None:
    error = failed(edited(sandbox, tmp_path / "config", {"token": SECRET}))
    assert error.kind == "unauthorized"
    assert "does not accept the credentials" in error.message
    assert SECRET not in error.message + error.remedy


@pytest.mark.cluster
def test_a_server_of_another_authority_is_not_trusted(sandbox: SandboxInfo, tmp_path: Path) -> None:
    other = base64.b64encode(certificate(days=10)[0]).decode()
    path = edited(sandbox, tmp_path / "config", {}, **{"certificate-authority-data": other})
    error = failed(path)
    assert error.kind == "tls"
    assert sandbox.server in error.message


@pytest.mark.cluster
def test_the_name_in_the_certificate_can_differ_from_the_address(
    sandbox: SandboxInfo, tmp_path: Path
) -> None:
    user = yaml.safe_load(sandbox.kubeconfig.read_text())["users"][0]["user"]
    path = edited(sandbox, tmp_path / "a", user, **{"tls-server-name": "kubernetes.default.svc"})
    assert Cluster.connect(kubeconfig=path).identity().server == sandbox.server
    path = edited(sandbox, tmp_path / "b", user, **{"tls-server-name": "wrong.example.org"})
    assert failed(path).kind == "tls"


@pytest.mark.cluster
def test_verification_can_be_switched_off(sandbox: SandboxInfo, tmp_path: Path) -> None:
    user = yaml.safe_load(sandbox.kubeconfig.read_text())["users"][0]["user"]
    config = yaml.safe_load(Path(edited(sandbox, tmp_path / "config", user)).read_text())
    config["clusters"][0]["cluster"] = {
        "server": sandbox.server,
        "insecure-skip-tls-verify": True,
    }
    path = written(tmp_path / "config", config)
    assert Cluster.connect(kubeconfig=path).identity().server == sandbox.server


@pytest.mark.cluster
def test_a_token_file_that_was_renewed_is_read_again(sandbox: SandboxInfo, tmp_path: Path) -> None:
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    token = admin.request("POST", path, body=request)["status"]["token"]
    (tmp_path / "token").write_text(SECRET)
    cluster = Cluster.connect(
        kubeconfig=edited(sandbox, tmp_path / "config", {"tokenFile": str(tmp_path / "token")})
    )
    (tmp_path / "token").write_text(token)
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    attributes = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    answer = cluster.create({**review, "metadata": {}, "spec": attributes})
    assert answer["status"]["allowed"] is False


@pytest.mark.cluster
def test_a_credential_plugin_is_asked_again_when_its_answer_is_no_longer_accepted(
    sandbox: SandboxInfo, tmp_path: Path
) -> None:
    user = yaml.safe_load(sandbox.kubeconfig.read_text())["users"][0]["user"]
    public, private = certificate(days=-1)
    stale = credential(clientCertificateData=public.decode(), clientKeyData=private.decode())
    fresh = credential(
        clientCertificateData=base64.b64decode(user["client-certificate-data"]).decode(),
        clientKeyData=base64.b64decode(user["client-key-data"]).decode(),
    )
    answer = tmp_path / "answer"
    script = plugin(tmp_path / "login", f"cat {answer}")
    answer.write_text(stale)
    cluster = Cluster.connect(kubeconfig=edited(sandbox, tmp_path / "config", exec_user(script)))
    answer.write_text(fresh)
    assert cluster.identity().server == sandbox.server
