"""NO-CANARY in the commands: run as processes, as talkative as they can be, with and without success."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cli.conftest import Home, Ran
from postbearer.testing import Faults, Sandbox, SmtpFault, TokenFault
from postbearer.testing.sandbox import ADDRESS
from support.planted import assert_none_shows, everything_below

TALKATIVE = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
GRANTS = {
    "client-credentials": 'client-secret = "env:CLIENT"\n',
    "password": 'client-secret = "env:CLIENT"\npassword = "env:PASSWORD"\n',
    "refresh-token": 'client-secret = "env:CLIENT"\nrefresh-token = "env:REFRESH"\n',
}
COMMANDS = (
    ("-v", "send", "--account", "sandbox", "--to", "you@example.org", "--text", "x"),
    ("send", "--account", "sandbox", "--to", "you@example.org", "--text", "x", "--json"),
    ("-v", "check", "sandbox"),
    ("check", "sandbox", "--json"),
    ("-v", "config", "show", "--all"),
    ("-v", "secret", "test", "accounts.sandbox.client-secret"),
)
FAULTS = {
    "all is well": Faults(),
    "token endpoint down": Faults(token=[TokenFault(kind="down")]),
    "no JSON": Faults(token=[TokenFault(kind="not-json")]),
    "tokens refused": Faults(refuse_tokens=99),
    "hangs up at AUTH": Faults(smtp=[SmtpFault(at="auth")]),
    "recipient refused": Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 no")]),
}


def configured(home: Home, sandbox: Sandbox, grant: str) -> dict[str, str]:
    """Write a configuration for `grant`; returns the environment that holds its secrets."""
    lines = sandbox.configuration().splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.startswith(("grant", "client-secret")))
    home.write(kept + f'grant = "{grant}"\n' + GRANTS[grant])
    secrets = {"CLIENT": sandbox.client_secret, "PASSWORD": sandbox.users[ADDRESS]}
    return {**TALKATIVE, **secrets, "REFRESH": sandbox.sign_in()}


@pytest.mark.parametrize(
    ("fault", "grant"),
    [*(("all is well", grant) for grant in GRANTS), *zip(list(FAULTS)[1:], [*GRANTS] * 2, strict=False)],
)
def test_o9_no_command_shows_a_secret(
    home: Home, postbearer_sandbox: Sandbox, grant: str, fault: str
) -> None:
    environ = configured(home, postbearer_sandbox, grant)
    chosen = FAULTS[fault]
    postbearer_sandbox.set_faults(
        Faults(**{name: getattr(chosen, name) for name in Faults.__struct_fields__})
    )

    def run(command: tuple[str, ...]) -> Ran:
        return home.run(*command, environ=environ)

    commands = COMMANDS if fault == "all is well" else COMMANDS[:4]
    with ThreadPoolExecutor(2) as threads:
        ran = list(threads.map(run, commands))
    assert all(each.out or each.err for each in ran)
    assert (ran[0].code == 0) is (fault == "all is well")
    shown = [text for each in ran for text in (each.out, each.err)]
    assert "Traceback" not in "".join(each.err for each in ran if each.code == 70)
    assert 70 not in [each.code for each in ran]
    assert_none_shows(postbearer_sandbox, *shown, *everything_below(home.folder))


@pytest.mark.parametrize("grant", GRANTS)
def test_only_token_shows_a_token_and_nothing_else(
    home: Home, postbearer_sandbox: Sandbox, grant: str
) -> None:
    environ = configured(home, postbearer_sandbox, grant)
    ran = home.run("-v", "token", "sandbox", environ=environ)
    token = ran.out.strip()
    assert postbearer_sandbox.register.known(token)
    assert_none_shows(postbearer_sandbox, ran.out.replace(token, ""), ran.err)
    again = home.run("token", "sandbox", "--json", environ=environ)
    assert_none_shows(postbearer_sandbox, again.out.replace(token, ""), again.err)
    assert_none_shows(postbearer_sandbox, *everything_below(home.folder))
