"""The library is light: nobody loads an HTTP, JWT, encryption or cloud package before one is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from postbearer.testing import Sandbox
from support.sandboxed import environment

BASE = {"postbearer", "msgspec", "typing_extensions"}  # typing_extensions: msgspec's own
EXTRA = {"httpx2", "cryptography"}  # what the library needs beside, and not always

ALL = "import postbearer\nfor name in postbearer.__all__: getattr(postbearer, name)\n"
ACCOUNT = """
from postbearer import Account, ClientCredentials, Mailer, AsyncMailer, token_source
grant = ClientCredentials("client", "env:NO_SUCH_SECRET")
account = Account.microsoft("alerts@example.org", tenant="example.org", grant=grant)
"""
STATIC = """
import os
from postbearer import Account, Envelope, Mailer, Secret, StaticToken
account = Account.smtp(
    "alerts@example.org",
    grant=StaticToken(Secret(os.environ["TOKEN"])),
    servers=["localhost:" + os.environ["PORT"]],
    tls="starttls",
    ca_file=os.environ["CA_FILE"],
)
with Mailer(account) as mailer:
    letter = b"From: alerts@example.org\\r\\n\\r\\nx\\r\\n"
    mailer.send(letter, Envelope.of("alerts@example.org", ["you@example.org"]))
"""
TOKEN = "from postbearer import token_source\ntoken_source('sandbox', state={state}).token_blocking()\n"

PROGRAMS = {
    "import postbearer": ("import postbearer", set()),
    "every name it offers": (ALL, set()),
    "an account, and mailers for it": (
        ACCOUNT + "Mailer(account), AsyncMailer(account), token_source(account)",
        set(),
    ),
    "smtplib and logging": (
        ACCOUNT
        + "from postbearer.integrations import smtplib, logging\n"
        + "logging.MailHandler(account, 'you@example.org')",
        set(),
    ),
    "a fixed token, and a message sent with it": (STATIC, set()),
    "a configuration": (
        "from postbearer import Mailer\nMailer.from_config('sandbox')",
        set(),
    ),
    "a token by HTTP, kept in memory": (TOKEN.format(state="'memory'"), {"httpx2"}),
    "a token by HTTP, kept sealed": (TOKEN.format(state=None), {"httpx2", "cryptography"}),
}
LOADED = """
import json, sys
before = set(sys.modules)
{program}
new = {{name.split(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new - set(sys.stdlib_module_names))))
"""


def loaded(program: str, environ: dict[str, str]) -> set[str]:
    """The packages that `program` loads, the standard library aside."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(program=program)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_loaded_before_it_is_needed(
    postbearer_sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    sandbox = postbearer_sandbox
    token = sandbox.register.issue("client", "alerts@example.org", "smtp.send")
    given = {"TOKEN": token, "PORT": str(sandbox.starttls_port), "CA_FILE": str(sandbox.folder / "ca.pem")}
    program, needed = PROGRAMS[name]
    found = loaded(program, {**environment(sandbox, tmp_path), **given})
    assert found & EXTRA == needed
    if not needed:
        assert found <= BASE  # with it come the packages that those themselves need


RELAY = """
from postbearer.assembly import Assembly
from postbearer.daemon import Relay
import postbearer.daemon.process
from postbearer.events import Silent
from postbearer.state import StateFolder
import os
Relay(Assembly.load(os.environ["CONFIG"], {}, state=StateFolder(os.environ["STATE"])), observer=Silent())
"""


@pytest.mark.parametrize(("table", "served"), [("", False), ("[http]\n", True)])
def test_a_relay_without_an_api_loads_nothing_for_it(tmp_path: Path, table: str, served: bool) -> None:
    config = tmp_path / "postbearer.toml"
    config.write_text(
        '[accounts.a]\nprovider = "smtp"\nservers = ["127.0.0.1:9"]\naddress = "a@example.org"\n'
        f'authentication = "none"\ntls = "none-loopback"\n[relay]\nallow-ephemeral = true\n{table}'
    )
    given = {"CONFIG": str(config), "STATE": str(tmp_path / "state"), "PATH": os.environ["PATH"]}
    found = loaded(RELAY, given)
    assert ({"starlette", "uvicorn", "httptools"} & found != set()) is served
    assert "asyncpg" not in found  # the queue is a file
    assert "opentelemetry" not in found  # which the environment has to ask for


def modules(environ: dict[str, str], *command: str) -> set[str]:
    """All modules that a Python loads for `command`."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


def test_a_kept_token_is_told_without_what_takes_long_to_load(
    postbearer_sandbox: Sandbox, tmp_path: Path
) -> None:
    environ = environment(postbearer_sandbox, tmp_path)
    told = "-m", "postbearer", "token", "sandbox"
    modules(environ, *told)
    heavy = {"pathlib", "urllib.parse", "asyncio", "tomllib", "click", "dataclasses", "msgspec"}
    assert modules(environ, *told) & heavy == set()


ITS_OWN = (
    "postbearer.events.relay",
    "postbearer.engine.disposition",
    "postbearer.store.",
    "postbearer.daemon",
)
MAILER = "from postbearer import Account, AsyncMailer, Mailer; import sys; print(*sys.modules)"


def test_a_mailer_loads_nothing_of_the_relay() -> None:
    done = subprocess.run([sys.executable, "-c", MAILER], capture_output=True, text=True, timeout=60)
    assert "postbearer.mailer" in done.stdout.split()
    assert [name for name in done.stdout.split() if name.startswith(ITS_OWN)] == []
