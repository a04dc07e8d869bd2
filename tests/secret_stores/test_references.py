"""Secret references: every kind of store, and what its errors say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import uvloop

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import GivenSecret, Secret, SecretSource
from postbearer.secrets import ReferenceContext, is_reference, seal_reference, source
from postbearer.secrets.command import CommandSecret
from postbearer.secrets.file import FileSecret
from postbearer.state import KeyFile, StateFolder
from postbearer.testing import ManualClock
from support.canary import assert_absent

CANARY = "0.AAACANARY~client-secret"


async def reveal(reference: str, **options: object) -> str:
    return (await source(reference, **options).read()).reveal()  # type: ignore[arg-type]


@pytest.mark.parametrize("literal", [CANARY, "CANARY:hunter2:" + CANARY, ":", "", "Env:X", "p:" + CANARY])
def test_a_literal_secret_is_refused_and_not_shown(literal: str) -> None:
    assert not is_reference(literal)
    with pytest.raises(SecretError) as caught:
        source(literal)
    assert "hunter2" not in str(caught.value)
    assert_absent(CANARY, str(caught.value), repr(caught.value))
    assert "env:NAME" in caught.value.hint


def test_a_slip_of_the_pen_is_pointed_out() -> None:
    with pytest.raises(SecretError, match=r"Did you mean systemd:…\?"):
        source("systmd:smtp")


def test_a_reference_needs_a_rest() -> None:
    with pytest.raises(SecretError, match="env: names nothing"):
        source("env:")


async def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_SECRET", " kept as it is \n")
    assert await reveal("env:SMTP_SECRET") == " kept as it is \n"
    monkeypatch.setenv("SMTP_SECRET", "")
    with pytest.raises(SecretError, match="SMTP_SECRET is empty"):
        await reveal("env:SMTP_SECRET")
    monkeypatch.delenv("SMTP_SECRET")
    with pytest.raises(SecretError, match="SMTP_SECRET is not set") as caught:
        await reveal("env:SMTP_SECRET")
    assert caught.value.reference == "env:SMTP_SECRET"


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b" secret ", " secret "),
        ("schlüssel\n".encode(), "schlüssel"),
    ],
)
async def test_file_less_one_newline(tmp_path: Path, octets: bytes, value: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(octets)
    assert await reveal(f"file:{path}") == value


async def test_file_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    assert await reveal("file:secret", base=tmp_path) == "s"


async def test_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one")
    secret = source(f"file:{path}")
    assert await secret.read() == Secret("one")
    path.write_text("two")
    assert await secret.read() == Secret("two")


async def test_file_troubles(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"missing cannot be read: No such file"):
        await reveal("file:missing", base=tmp_path)
    with pytest.raises(SecretError, match="Is a directory"):
        await reveal(f"file:{tmp_path}")
    path = tmp_path / "secret"
    path.write_bytes(b"\n")
    with pytest.raises(SecretError, match="is empty"):
        await reveal(f"file:{path}")
    path.write_bytes(b"x" * 300_000)
    with pytest.raises(SecretError, match="larger than 256 KiB"):
        await reveal(f"file:{path}")


async def test_a_pipe_that_nobody_writes_into_does_not_hang_for_ever(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SecretUnavailable, match=r"pipe gave nothing for 0.01 s"):
        await FileSecret(pipe, "file:pipe", timeout=0.01).read()


def test_a_pipe_is_read_once_somebody_writes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"exec >{pipe}; echo late"]):
        assert asyncio.run(reveal(f"file:{pipe}")) == "late"


async def test_o9_a_file_that_is_no_text_does_not_show_its_octets(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(SecretError, match="not UTF-8") as caught:
        await reveal(f"file:{path}")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert_absent(CANARY, str(caught.value), repr(caught.value))


async def test_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretError, match="LoadCredential=smtp"):
        await reveal("systemd:smtp")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "smtp").write_text("s\n")
    assert await reveal("systemd:smtp") == "s"
    for path in ("../smtp", "/etc/passwd", ".."):
        with pytest.raises(SecretError, match="not a path"):
            source(f"systemd:{path}")


def python(code: str) -> str:
    return f"command:{sys.executable} -c '{code}'"


async def test_command_without_a_shell() -> None:
    assert (
        await reveal(python("import sys; print(sys.argv[1:])") + " $HOME ';' \"a b\"")
        == "['$HOME', ';', 'a b']"
    )
    assert await reveal(python('print("s")')) == "s"


async def test_o9_command_shows_its_complaint_and_never_its_output(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys\nprint({CANARY!r})\nprint('no such\\n\\x1b[2J entry', file=sys.stderr)\nsys.exit(3)\n"
    )
    with pytest.raises(SecretError, match="failed with status 3, saying: no such") as caught:
        await reveal(f"command:{sys.executable} {program}")
    assert caught.value.message.isprintable()
    assert_absent(CANARY, str(caught.value), repr(caught.value))


async def test_command_that_hangs_is_ended() -> None:
    secret = CommandSecret(f"{sys.executable} -c 'import time; time.sleep(60)'", timeout=0.2)
    with pytest.raises(SecretError, match=r"not done within 0\.2 s"):
        await secret.read()


FLOODS = "yes"
RUNS_AWAY = f'{sys.executable} -c "import os, time; os.fork() or (os.setsid(), time.sleep(20))"'


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("line", [FLOODS, RUNS_AWAY])
def test_so_is_one_that_floods_or_leaves_its_output_to_a_child_of_its_own(
    line: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def read() -> None:
        async with asyncio.timeout(15):
            await CommandSecret(line, timeout=0.2).read()

    said = r"not done within 0\.2 s"
    with asyncio.Runner(loop_factory=loop) as runner, pytest.raises(SecretError, match=said):
        runner.run(read())


async def test_command_troubles() -> None:
    with pytest.raises(SecretError, match="cannot be run: No such file"):
        await reveal("command:/nonexistent/program")
    with pytest.raises(SecretError, match="cannot be split"):
        source("command:pass 'show")
    with pytest.raises(SecretError, match="is empty"):
        await reveal(python("pass"))
    with pytest.raises(SecretError, match="larger than"):
        await reveal(python('print("x" * 5_000_000)'))


async def test_sealed(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    reference = seal_reference(KeyFile(state).box(), Secret(CANARY))
    assert_absent(CANARY, reference)
    assert await reveal(reference, state=state) == CANARY
    with pytest.raises(SecretError, match=r"key file .* is missing") as caught:
        await reveal(reference, state=StateFolder(tmp_path / "other"))
    assert "postbearer secret seal" in caught.value.hint
    assert not (tmp_path / "other").exists(), "opening never makes a key"
    with pytest.raises(SecretError, match="damaged"):
        await reveal(reference[:-4] + "AAAA", state=state)


async def test_cache_keeps_for_a_while_and_zero_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    monkeypatch.setenv("X", "one")
    cached, direct = source("env:X", cache=60, clock=clock), source("env:X", cache=0, clock=clock)
    assert cached.reference == "env:X"
    assert await cached.read() == await direct.read() == Secret("one")
    monkeypatch.setenv("X", "two")
    assert await direct.read() == Secret("two")
    clock.advance(59)
    assert await cached.read() == Secret("one")
    clock.advance(1)
    assert await cached.read() == Secret("two")


def given_store(rest: str, place: ReferenceContext) -> SecretSource:
    return GivenSecret(Secret(rest.upper()), f"mine:{rest}")


async def test_named_stores_go_first() -> None:
    named = {"mine": given_store, "env": given_store}
    assert await reveal("mine:abc", named=named) == "ABC"
    assert await reveal("env:abc", named=named) == "ABC"
    assert is_reference("mine:abc", named)


async def test_plug_ins_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "postbearer.secret_stores"
    plugged = EntryPoints(
        [
            EntryPoint("plugged", f"{__name__}:given_store", group),
            EntryPoint("broken", "no_such_module:thing", group),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: plugged.select(**wanted))
    assert await reveal("plugged:abc") == "ABC"
    with pytest.raises(SecretError, match=r"broken: could not be loaded: ModuleNotFoundError"):
        source("broken:abc")
    with pytest.raises(SecretError, match=r"Did you mean plugged:…\?"):
        source("pluged:abc")


def test_o9_no_source_shows_what_it_read() -> None:
    for reference in ("env:X", "file:/x", "systemd:x", "command:x y", "sealed:v1.a.b"):
        assert repr(source(reference, cache=1))


@pytest.mark.parametrize(
    "reference",
    ["aws-secrets-manager:mail", "keyring:mail/alerts", "hashicorp-vault:a/b#c", "gcp-secret-manager:a/b"],
)
def test_what_reads_a_store_is_loaded_when_it_is_read(reference: str) -> None:
    code = f"import sys; from postbearer.secrets import source; source({reference!r}); print(*sys.modules)"
    environ = {**os.environ, "VAULT_ADDR": "https://vault.example.org", "VAULT_TOKEN": "x"}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    ).stdout.split()
    heavy = {"botocore", "keyring", "httpx2", "cryptography"}
    assert heavy.isdisjoint(loaded)
