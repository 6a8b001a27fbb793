"""One token ends every wait of a run: by a signal, a failure, or the run's own limit."""

from __future__ import annotations

import threading

import pytest

from installer.core import cancel as module
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode, InstallerError, Interrupted, NotReady


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the second in which waits say what they waited for."""
    monkeypatch.setattr(module, "_GRACE", 0.0)


def test_without_a_limit_nothing_ends_by_itself() -> None:
    token = Cancel()
    token.check("working")
    assert token.left() == float("inf")
    assert not token.stopped


@pytest.mark.usefixtures("at_once")
def test_past_its_limit_a_run_is_stopped_and_says_what_it_was_busy_with() -> None:
    token = Cancel(0.0)
    assert token.stopped
    with pytest.raises(NotReady, match=r"limit of 0 s .*: reading a list") as caught:
        token.check("reading a list")
    assert caught.value.exit_code == ExitCode.NOT_READY


@pytest.mark.usefixtures("at_once")
def test_a_sleep_ends_with_the_limit() -> None:
    with pytest.raises(NotReady):
        Cancel(0.01).sleep(3600, "sleeping")


@pytest.mark.usefixtures("at_once")
def test_a_prompt_moves_the_limit() -> None:
    token = Cancel(0.0)
    token.prolong(60)
    token.check("working")
    assert 0 < token.left() <= 60


def test_waits_have_a_moment_beyond_the_limit_to_say_what_they_waited_for() -> None:
    token = Cancel(0.0)
    assert token.left() == 0
    token.check("working")
    assert not token.stopped


def test_the_first_reason_is_what_waiting_threads_raise() -> None:
    token = Cancel()
    token.stop(InstallerError("first"))
    token.stop(InstallerError("second"))
    with pytest.raises(InstallerError, match="first"):
        token.sleep(3600, "sleeping")


def test_a_sleeping_thread_wakes_when_it_is_stopped() -> None:
    token, raised = Cancel(), []

    def sleep() -> None:
        try:
            token.sleep(3600, "sleeping")
        except Interrupted as error:
            raised.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    token.stop()
    thread.join(30)
    assert len(raised) == 1
