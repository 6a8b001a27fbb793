"""The command as a process: exit codes, streams, start-up, and what a closed pipe does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import COMMAND, ROOT, Run, environment

HEAVY = ("kubernetes", "rich", "requests", "yaml", "cattrs", "jsonpatch", "cryptography")


def test_a_misspelt_command_exits_with_2_and_leaves_stdout_empty(command: Run) -> None:
    done = command("instal")

    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean install" in done.stderr


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(command: Run) -> None:
    done = command()

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: kserve-installer")


def test_the_version_is_data(command: Run) -> None:
    done = command("--version")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kserve-installer ")


@pytest.mark.parametrize("words", [["--help"], ["install", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, installer.cli.main as m\n"
        f"try: m.main({words!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )

    assert done.stderr.strip() == "[]"


def test_settings_that_cannot_be_read_are_named(command: Run) -> None:
    done = command("install", "kfserving-0.5.1", "-f", "/nonexistent/settings.yaml")

    assert done.returncode == 2
    assert "/nonexistent/settings.yaml" in done.stderr
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_lines_end_with_finished_even_when_nothing_could_begin(command: Run) -> None:
    done = command("install", "r", "-o", "json", "-f", "/nonexistent/settings.yaml")
    last = json.loads(done.stdout.splitlines()[-1])

    assert (last["event"], last["outcome"], last["exit_code"]) == ("finished", "failed", 2)
    assert last["error"]["object"] == "/nonexistent/settings.yaml"
    assert last["writes"] == 0


def test_no_colour_is_a_promise_in_a_pipe(command: Run) -> None:
    assert "\x1b" not in command("install", "r", "-f", "/nonexistent/s.yaml").stderr


def without_reader(*words: str) -> subprocess.CompletedProcess[str]:
    """A run whose standard output is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [*COMMAND, *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=ROOT,
            check=False,
        )
    finally:
        os.close(writer)


def test_a_reader_that_leaves_is_no_failure() -> None:
    done = without_reader("completion", "bash")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_leaves_does_not_hide_how_a_run_ended() -> None:
    done = without_reader("install", "r", "-o", "json", "-f", "/nonexistent/settings.yaml")

    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Broken" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_stdout_is_one_sentence_and_exit_code_1() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "completion", "bash"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=ROOT,
            check=False,
        )

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(command: Run, shell: str) -> None:
    done = command("completion", shell)

    assert done.returncode == 0
    assert "uninstall" in done.stdout


def test_the_plugin_says_its_name_as_kubectl_users_type_it(tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-kserve"
    plugin.write_text(
        f"#!{sys.executable}\nimport sys\nfrom installer.cli.main import main\nsys.exit(main())\n"
    )
    plugin.chmod(0o755)
    env = environment({"PYTHONPATH": str(ROOT), "COLUMNS": "80"})

    done = subprocess.run([plugin, "--help"], capture_output=True, text=True, env=env, check=True)

    assert done.stdout.startswith("usage: kubectl kserve ")


def test_an_unexpected_error_is_one_sentence_unless_debug_is_given() -> None:
    code = (
        "import sys, installer.cli.main as m, installer.cli.catalog_commands as c\n"
        "def broken(args): raise RuntimeError('by accident')\n"
        "c.completion = broken\n"
        "sys.exit(m.main(sys.argv[1:]))"
    )
    run = [sys.executable, "-c", code, "completion", "bash"]
    short = subprocess.run(run, capture_output=True, text=True, env=os.environ, check=False)
    long = subprocess.run(
        [*run, "--debug"], capture_output=True, text=True, env=os.environ, check=False
    )

    assert (short.returncode, long.returncode) == (1, 1)
    assert "internal error: RuntimeError: by accident" in short.stderr
    assert "--debug" in short.stderr
    assert "Traceback" not in short.stderr
    assert "Traceback" in long.stderr
