"""How a failed command answers on both streams, and that no secret of the user's is in it."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from cli_process import COMMAND, ROOT, Run, environment

from installer.cli.commands import parse
from installer.cli.options import install_options
from installer.cli.schema import problems_of
from installer.cli.session import hints
from installer.core.masking import masked

RELEASE = "kfserving-0.5.1"
NOWHERE = ("--kubeconfig", "/nonexistent/config")


@pytest.mark.parametrize(
    "words",
    [
        ("status", "-o", "json", *NOWHERE),
        ("catalog", "check", "/nonexistent", "--output=json"),
        ("releases", "--catalog", "/nonexistent", "-o", "json"),
        ("sandbox", "down", "--name", "../x", "-o", "json"),
        ("sandbox", "up", "--nodes", "0", "-ojson"),
        ("statsu", "-o", "json"),
        ("status", "--nope", "--output", "json"),
    ],
)
def test_instead_of_its_document_a_failed_command_prints_the_error_as_one(
    command: Run, words: tuple[str, ...]
) -> None:
    done = command(*words)

    answer = json.loads(done.stdout)
    assert set(answer) == {"error", "exit_code"}
    assert set(answer["error"]) == {"kind", "message", "object", "remedy"}
    assert answer["exit_code"] == done.returncode == 2
    assert answer["error"]["message"] in done.stderr


def test_yaml_that_was_asked_for_is_yaml_when_it_fails(command: Run) -> None:
    done = command("status", "-o", "yaml", *NOWHERE)

    assert yaml.safe_load(done.stdout)["error"]["object"] == NOWHERE[1]


def test_text_leaves_stdout_empty_when_it_fails(command: Run) -> None:
    assert command("status", *NOWHERE).stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("install", "-o", "json"),
        ("install", "r", "--nope", "--output=json"),
        ("uninstall", "x", "-ojson"),
        ("install", "r", "-o", "json", "-f", "/nonexistent/settings.yaml"),
        ("uninstall", "-o", "json", *NOWHERE),
    ],
)
def test_a_command_of_event_lines_ends_with_finished_whatever_was_wrong(
    command: Run, words: tuple[str, ...]
) -> None:
    done = command(*words)

    last = json.loads(done.stdout.splitlines()[-1])
    assert problems_of(last) == []
    assert (last["event"], last["outcome"], last["exit_code"]) == ("finished", "failed", 2)
    assert done.returncode == 2
    assert last["error"]["message"] in done.stderr


def refused(file: Path) -> Path:
    """A kubeconfig for a server on which nobody listens."""
    file.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    return file


@pytest.mark.parametrize("words", [("install", RELEASE), ("uninstall",)])
def test_a_server_that_is_not_there_ends_what_would_write_before_it_began(
    command: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    config = str(refused(tmp_path / "config"))
    done = command(*words, "--yes", "-o", "json", "--kubeconfig", config)

    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["exit_code"], last["writes"]) == (3, 3, 0)
    assert last["error"]["kind"] == "unreachable"
    assert "no answer from the API server https://127.0.0.1:1" in last["error"]["message"]
    assert last["error"]["remedy"]


READERS = (
    ("status",),
    ("status", "--drift"),
    ("plan", RELEASE),
    ("upgrade", "plan"),
    ("preflight", "--all-releases"),
    ("trace", "flowers"),
    ("autoscaling", "flowers"),
    ("bench", "flowers"),
)
"""Commands that print one document, and write nothing that lasts."""


def test_a_server_that_is_not_there_ends_what_only_reads_in_the_same_way(
    command: Run, tmp_path: Path
) -> None:
    flags = ("-o", "json", "--kubeconfig", str(refused(tmp_path / "config")))
    with ThreadPoolExecutor(len(READERS)) as pool:  # each tries for seconds
        ended = list(pool.map(lambda words: command(*words, *flags), READERS))

    answers = [json.loads(done.stdout) for done in ended]
    told = [
        (done.returncode, a["exit_code"], a["error"]["kind"])
        for done, a in zip(ended, answers, strict=True)
    ]
    assert dict(zip(READERS, told, strict=True)) == dict.fromkeys(READERS, (3, 3, "unreachable"))
    for done, answer in zip(ended, answers, strict=True):
        assert "no answer from the API server https://127.0.0.1:1" in answer["error"]["message"]
        assert answer["error"]["message"] in done.stderr
        assert answer["error"]["remedy"]


def test_a_preflight_says_of_a_server_that_is_not_there_that_this_check_failed(
    command: Run, tmp_path: Path
) -> None:
    config = str(refused(tmp_path / "config"))
    done = command("preflight", RELEASE, "-o", "json", "--kubeconfig", config)

    report = json.loads(done.stdout)
    (category,) = report["categories"]
    (check,) = category["checks"]
    assert (done.returncode, report["passed"]) == (3, False)
    assert (check["check"], check["verdict"]) == ("kubernetes-reachable", "failed")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("install", RELEASE, "--skip", "nodes,crd-schema"), "there are no checks 'nodes' and"),
        (("upgrade", RELEASE, "--skip", "x"), "there is no check 'x'"),
        (("install", RELEASE, "--mirror", "/nonexistent"), "--mirror /nonexistent does not exist"),
        (("plan", RELEASE, "--bundle", "/dev/null"), "bundle /dev/null cannot be read"),
        (("upgrade", RELEASE, "--discard-edits", "--resolve", "a/b=ours"), "give one of them"),
        (("upgrade", RELEASE, "--mirror", "ftp://m.example"), "neither a directory nor an http"),
    ],
)
def test_what_is_wrong_with_the_words_is_told_before_a_server_is_asked(
    command: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = command(*words, "--kubeconfig", str(refused(tmp_path / "config")))

    assert said in done.stderr
    assert "127.0.0.1" not in done.stderr
    assert done.returncode == 2


def test_a_check_of_a_catalog_says_its_exit_code_beside_the_problems(
    command: Run, tmp_path: Path
) -> None:
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases" / "a.yaml").write_text("name: [")
    done = command("catalog", "check", str(tmp_path), "-o", "json")

    answer = json.loads(done.stdout)
    assert answer["problems"]
    assert answer["exit_code"] == done.returncode == 3


def test_a_missing_shell_is_answered_with_the_shells(command: Run) -> None:
    done = command("completion")

    assert done.returncode == 2
    assert "bash, zsh, fish" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        ("releases",),
        ("--help",),
        ("install", "--help"),
        ("--version",),
        ("completion", "bash"),
        ("catalog", "check", "-o", "json"),
    ],
)
def test_a_full_disk_under_stdout_is_told(words: tuple[str, ...], unbuffered: str) -> None:
    done = into_a_full_disk(*words, unbuffered=unbuffered)

    assert done.returncode == 1
    assert done.stderr.startswith("error: the output cannot be written: No space left on device\n")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_event_lines_that_a_full_disk_did_not_take_end_in_exit_code_1() -> None:
    code = (
        "import sys, installer.cli.main as m, installer.cli.install_command as e; "
        "e._install = lambda _: {'outcome': 'done'}; "
        "sys.exit(m.main(['install', 'r', '-o', 'json']))"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND[0], "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment({"PYTHONPATH": str(ROOT)}),
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.count("the output cannot be written: No space left on device") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_does_not_change_how_a_run_ended() -> None:
    done = into_a_full_disk("uninstall", "-o", "json", *NOWHERE, unbuffered="")

    assert done.returncode == 2
    assert done.stderr.startswith("error: /nonexistent/config: ")


def into_a_full_disk(*words: str, unbuffered: str) -> subprocess.CompletedProcess[str]:
    with Path("/dev/full").open("w") as full:
        return subprocess.run(
            [*COMMAND, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment({"PYTHONUNBUFFERED": unbuffered}),
            cwd=ROOT,
            check=False,
        )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:secret@host/a", "https://user:***@host/a"),
        ("at https://ghp_token@host/, twice", "at https://***@host/, twice"),
        ("https://user:p@ss:w@host", "https://user:***@host"),
        ("'https://host/a?token=secret' and more", "'https://host/a?***' and more"),
        ("exceeded with url: /a?token=secret (Caused by", "exceeded with url: /a?*** (Caused by"),
        ("https://host/a me@host", "https://host/a me@host"),
        ("HTTP://User:secret@host", "HTTP://User:***@host"),
    ],
)
def test_what_only_its_owner_should_read_is_taken_out_of_urls(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_the_command_to_repeat_does_not_show_the_password_of_a_mirror() -> None:
    words = ["install", "r", "--mirror", "https://user:secret@host/", "--context", "a b"]
    again = hints(parse(words)).again

    assert again == "kserve-installer install r --mirror https://user:***@host/ --context 'a b'"


def test_a_command_that_is_printed_has_the_settings_and_sources_given_without_the_password(
    tmp_path: Path,
) -> None:
    file = tmp_path / "my settings.yaml"
    file.write_text("apiVersion: kserve-installer/v1\nkind: Settings\n")
    given = ("-f", str(file), "--mirror", "https://user:secret@host/")
    options = install_options(parse(["preflight", RELEASE, *given, "--context", "east"]))

    assert options.flags == f" -f '{file}' --mirror https://user:***@host/"


@pytest.mark.parametrize("debug", [(), ("--debug",)])
@pytest.mark.parametrize(
    "mirror", ["https://user:secret@[host/", "ftp://user:secret@host/", "//user:secret@host"]
)
def test_no_error_shows_the_password_of_a_mirror(
    command: Run, mirror: str, debug: tuple[str, ...]
) -> None:
    where = ("--mirror", mirror, "--catalog", "/nonexistent")
    done = command("install", "r", *where, "-o", "json", *debug)
    wrong = command("install", "r", mirror)

    assert done.returncode == wrong.returncode == 2
    if not mirror.startswith("//"):
        assert "secret" not in done.stdout + done.stderr + wrong.stdout + wrong.stderr


def test_the_problems_of_all_settings_files_come_in_one_report(
    command: Run, tmp_path: Path
) -> None:
    head = "apiVersion: kserve-installer/v1\nkind: Settings\n"
    (tmp_path / "a.yaml").write_text(head + "external: [cert-manger]\ndomain: 12\n")
    (tmp_path / "b.yaml").write_text(head + "labels: [\n")
    (tmp_path / "large.yaml").write_text("#" * 1_000_001)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    names = ("a", "b", "gone", "large", "binary")
    files = [word for name in names for word in ("-f", str(tmp_path / f"{name}.yaml"))]
    done = command("install", "kfserving-0.5.1", *files)

    assert done.returncode == 2
    assert "the settings have 6 problems:\n" in done.stderr
    for said in (
        "gone.yaml: No such file or directory; expected a text file of at most 1 MB",
        "large.yaml: it is larger; expected",
        "binary.yaml: it is not UTF-8 text; expected",
        "a.yaml: external[0]: the release has no component 'cert-manger'",
        "a.yaml: domain: the number 12",
        "b.yaml: line 4, column 1",
    ):
        assert said in done.stderr


def test_a_wrong_folder_of_servers_leaves_nothing_behind(command: Run, tmp_path: Path) -> None:
    (tmp_path / "servers").mkdir()
    state, cache = tmp_path / "state", tmp_path / "cache"
    env = {"KSERVE_INSTALLER_STATE": str(state), "KSERVE_INSTALLER_CACHE": str(cache)}
    done = command("sandbox", "up", "--control-plane", str(tmp_path / "servers"), env=env)

    assert done.returncode == 2
    assert "cannot be used: it has no kube-apiserver for Kubernetes 1.20.2\n" in done.stderr
    assert not state.exists()
    assert not cache.exists()
