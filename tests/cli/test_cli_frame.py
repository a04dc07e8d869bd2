"""Help, versions, defects, pipes and colours: what holds for every command."""

from __future__ import annotations

import inspect
import io
import json
import os
import signal
import subprocess
import sys

import pytest

from cli.conftest import Home
from postbearer import __main__ as module
from postbearer import errors
from postbearer._version import __version__
from postbearer.cli import exit_codes, main, output
from postbearer.cli.exit_codes import ExitCode, exit_code, outcomes_code
from postbearer.cli.progress import Progress
from postbearer.cli.progress_listener import ProgressListener
from postbearer.cli.root import COMMANDS
from postbearer.errors import ConfigError, CredentialRefused, TimedOut
from postbearer.events import Authenticated, Connected, ServerFailed, Throttled
from postbearer.outcome import Outcome, Receipt, State
from postbearer.providers import preset
from postbearer.reply import EnhancedStatus, Reply
from postbearer.testing.replies import parse_reply
from postbearer.verdict import judged


def outcome(state: State, code: int = 250, enhanced: tuple[int, int, int] | None = None) -> Outcome:
    return Outcome(
        "a@example.org", state, Reply(code, (b"",), EnhancedStatus(*enhanced) if enhanced else None)
    )


GOOD = outcome(State.DELIVERED)
FAILED = outcome(State.FAILED, 550)
LATER = outcome(State.DEFERRED, 451)
UNKNOWN = Outcome("a@example.org", State.UNKNOWN)
SENDER = judged("a@example.org", parse_reply("554 5.2.252 SendAsDenied"), "eod", preset("microsoft").rules)
LOGIN = judged("a@example.org", parse_reply("535 5.7.3 no"), "auth")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((GOOD,), 0),
        ((GOOD, FAILED), 69),
        ((GOOD, LATER), 75),
        ((UNKNOWN,), 75),
        ((LATER, FAILED), 69),
        ((LATER, SENDER, FAILED), 77),
        ((LOGIN,), 77),
        ((Outcome("a@example.org", State.DEFERRED, error=CredentialRefused("no")),), 77),
    ],
)
def test_of_mixed_outcomes_the_first_of_77_69_75_counts(outcomes: tuple[Outcome, ...], code: int) -> None:
    assert outcomes_code(outcomes) == code
    if code:
        assert exit_code(Receipt(outcomes).rejection()) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 64),
        (errors.LocalProtocolError("x"), 65),
        (errors.PostbearerError("x"), 70),
        (errors.PlugInFailed("x"), 70),
        (errors.TokenUnavailable("x"), 75),
        (errors.ConnectFailed("x"), 75),
        (errors.TlsFailed("x"), 75),
        (errors.TlsFailed("x", configuration=True), 78),
        (errors.RemoteProtocolError("x"), 75),
        (errors.BudgetSpent("x", retry_at=1), 75),
        (errors.StoreFull("x"), 75),
        (errors.StoreError("x", configuration=True), 78),
        (errors.SchemaMismatch("x"), 78),
        (errors.GrantRefused("x"), 77),
        (errors.GrantRefused("x", configuration=True), 78),
        (errors.CredentialRefused("x"), 77),
        (errors.MechanismMissing("x"), 77),
        (errors.SenderNotAllowed("x"), 77),
        (errors.NotPermitted("x"), 77),
        (errors.ServerRefused("x", reply=Reply(421, (b"",))), 75),
        (errors.ServerRefused("x", reply=Reply(554, (b"",))), 77),
        (errors.ConfigError("x"), 78),
        (errors.SecretError("x"), 78),
        (errors.SecretUnavailable("x"), 75),
        (ZeroDivisionError(), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_every_public_error_has_a_row_of_its_own() -> None:
    named = inspect.getmembers(errors, inspect.isclass)
    known = {kind for _, kind in named if kind.__module__ == errors.__name__}
    assert known - exit_codes._CODES.keys() == set()


def test_a_token_that_a_certificate_keeps_away_is_a_matter_of_configuration() -> None:
    for certificate, code in ((True, 78), (False, 75)):
        error = errors.TokenUnavailable("x")
        error.__cause__ = errors.TlsFailed("y", configuration=certificate)
        assert exit_code(error) == code


def test_the_version_is_told_the_same_on_both_ways(home: Home) -> None:
    expected = f"postbearer {__version__}\n"
    assert home.run("--version").out == expected
    assert home.run("-v", "--version").out == expected


def test_the_version_costs_next_to_nothing() -> None:
    code = "import sys; from postbearer.cli import main; main(['--version']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"click", "msgspec", "asyncio", "typing", "re", "postbearer.errors"} & set(out.split())


def test_help_lists_all_commands_and_imports_none() -> None:
    code = "import sys; from postbearer.cli.root import run; run(['--help']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in out for name in COMMANDS)
    assert "Completion" in out
    assert "75 try again" in out
    assert not {f"postbearer.cli.{name}" for name, _ in COMMANDS.values()} & set(out.split())
    assert not {"msgspec", "asyncio", "tomlkit"} & set(out.split())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_config_and_verbose(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: postbearer {name}")
    assert COMMANDS[name][1]


def test_the_shell_completes_commands(home: Home) -> None:
    asked = {"_POSTBEARER_COMPLETE": "bash_complete", "COMP_WORDS": "postbearer tok", "COMP_CWORD": "1"}
    assert home.run(environ=asked).out.split() == ["plain,token"]


def test_a_defect_is_70_and_its_traceback_holds_no_values(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        secret = "canary-" + "in-a-local"
        raise ZeroDivisionError(len(secret))

    monkeypatch.setattr("postbearer.config.load", broken)
    assert main(["config", "show"]) == ExitCode.BUG
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "--debug" in err
    assert "Traceback" not in err
    assert main(["--debug", "config", "show"]) == ExitCode.BUG
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "canary-in-a-local" not in err


def test_a_reader_that_goes_away_is_no_error(home: Home) -> None:
    for arguments in (["config", "schema"], ["--version"]):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "postbearer", *arguments]
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, env=home.environ, cwd=home.folder, check=False
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("arguments", [["config", "schema"], ["config", "show"], ["--version"], ["--help"]])
def test_a_full_disk_is_74(home: Home, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "postbearer", *arguments]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=home.environ, check=False
        )
    assert done.returncode == 74
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


def test_an_interrupt_is_130_without_a_traceback(home: Home) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "postbearer", "secret", "seal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**home.environ, "PYTHONUNBUFFERED": "1"},
        cwd=home.folder,
    ) as process:
        key = home.folder / "state" / "key"
        while not key.exists():  # it is past its start once it has made its key
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_colour_is_for_terminals_and_for_those_who_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.style("x", "error", Terminal()) == "\x1b[31;1mx\x1b[0m"
    assert output.style("x", "error", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.style("x", "error", Terminal()) == "x"


def test_what_a_server_says_does_nothing_to_the_terminal() -> None:
    assert output.printable("a\x1b[2Jb\r\u202ec\n") == "a\\x1b[2Jb\\r\\u202ec\n"


def test_progress_shows_only_on_a_terminal_and_only_when_it_takes_long() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    quiet, quick, slow = io.StringIO(), Terminal(), Terminal()
    with Progress("Sending", stream=quiet, patience=0):
        pass
    with Progress("Sending", stream=quick):
        pass
    with Progress("Sending", 4, stream=slow, patience=0) as progress:
        progress.advance(2)
        while "50%" not in slow.getvalue():
            os.sched_yield()
    assert quiet.getvalue() == quick.getvalue() == ""
    assert slow.getvalue().endswith("\r\x1b[K")


def test_who_waits_elsewhere_is_told_once_for_what() -> None:
    log = io.StringIO()
    with Progress("Sending", stream=log, patience=0) as progress:
        listener = ProgressListener(verbose=False, progress=progress)
        for event, words in (
            (Throttled("alerts", 40.2), "room in the limits of the account alerts, in 40 s"),
            (Connected("alerts", "mail.example.org:587"), "mail.example.org:587 to greet"),
            (Authenticated("alerts", "mail.example.org:587", "XOAUTH2", Reply(235)), "to take the message"),
            (ServerFailed("alerts", "mail.example.org:587", TimedOut("x")), "the next server"),
        ):
            listener.notice(event)
            while words not in log.getvalue():
                os.sched_yield()
    lines = log.getvalue().splitlines()
    assert lines[1] == "Sending: waiting for mail.example.org:587 to greet."
    assert len(lines) == 4


def test_a_terminal_shows_for_what_it_waits_as_text_that_does_nothing() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with Progress("Sending", stream=terminal, patience=0) as progress:
        ProgressListener(verbose=False, progress=progress).notice(Connected("alerts", "\x1b[2J:587"))
        while "to greet" not in terminal.getvalue():
            os.sched_yield()
    assert "Sending … waiting for \\x1b[2J:587 to greet 0 s" in terminal.getvalue()


def test_an_error_as_json_has_all_that_a_program_needs() -> None:
    error = ConfigError("Wrong.", key="a.b", file="/f", line=3, hint="Do.")
    told = json.loads(json.dumps(output.describe(error)))
    assert told == {
        "type": "ConfigError",
        "message": "Wrong.",
        "hint": "Do.",
        "exit": 78,
        "file": "/f",
        "line": 3,
        "key": "a.b",
    }
    assert module.main is main


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("providers", 0), ("--version", 0), ("send --nonsense", 64)])
def test_a_closed_descriptor_changes_no_exit_code(home: Home, words: str, code: int, closed: str) -> None:
    ran = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m postbearer {words} {closed}"],
        capture_output=True,
        env=home.environ,
        cwd=home.folder,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, b"Traceback" in ran.stderr) == (code, False)
