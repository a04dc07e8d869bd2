"""postbearer check, as people run it: what it says, what it ends with, and what it never says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cli.conftest import Home, Ran
from postbearer.testing import BackgroundSandbox, Faults, Sandbox, SmtpFault, TokenFault
from support.canary import assert_absent

Check = Callable[..., Ran]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with BackgroundSandbox("microsoft") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def check(sandbox: Sandbox, home: Home) -> Check:
    """Run ``postbearer check`` with the sandbox's configuration, or with `configuration`."""

    def run(*arguments: str, configuration: str = "") -> Ran:
        home.write(configuration or sandbox.configuration())
        ran = home.run("check", *arguments)
        assert_absent(sandbox.client_secret, ran.out, ran.err)
        for token in sandbox.register._access:
            assert_absent(token, ran.out, ran.err)
        return ran

    return run


def steps(ran: Ran) -> dict[str, bool | None]:
    told: dict[str, Any] = json.loads(ran.out)
    return {finding["step"]: finding["ok"] for finding in told["accounts"][0]["findings"]}


def test_all_is_well(check: Check, sandbox: Sandbox) -> None:
    ran = check("--send-to", "you@example.org")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "sandbox"
    assert [line[:17].split() for line in lines[1:]] == [
        ["✓", step]
        for step in ("configuration", "secret", "DNS", "TCP", "TLS", "EHLO", "token", "AUTH", "message")
    ]
    assert "\x1b" not in ran.out  # no terminal, no colour
    (received,) = sandbox.inbox.messages
    assert received.recipients == ("you@example.org",)


def test_without_a_message_it_says_what_that_leaves_open(check: Check) -> None:
    ran = check()
    assert ran.code == 0
    assert "– message" in ran.out
    assert "--send-to ADDRESS: missing permissions show only after a message" in ran.out


def test_refused(check: Check, sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(refuse_tokens=100))
    ran = check()
    assert ran.code == 77
    assert "✗ AUTH" in ran.out
    assert "535 5.7.3 Authentication unsuccessful" in ran.out
    assert "→ tenant admin: " in ran.out
    assert (
        "        Set-CASMailbox -Identity alerts@example.org -SmtpClientAuthenticationDisabled $false\n"
        in ran.out
    )
    assert "New-ServicePrincipal -AppId sandbox-app -ObjectId 5a9d0000-" in ran.out


def test_a_wrong_secret_is_a_matter_of_configuration(check: Check, sandbox: Sandbox, home: Home) -> None:
    (home.folder / "wrong").write_text("not the secret")
    text = sandbox.configuration().replace(f"{sandbox.folder / 'client-secret'}", f"{home.folder / 'wrong'}")
    ran = check(configuration=text)
    assert ran.code == 78
    assert "The client secret is wrong" in ran.out
    assert "→ app owner: Paste the secret's Value" in ran.out
    assert "– AUTH           not done: there is no token for it" in ran.out


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        (Faults(smtp=[SmtpFault(at="rcpt", reply="550 5.1.1 No such user")]), 69),
        (Faults(smtp=[SmtpFault(at="rcpt", reply="451 4.3.0 Later")]), 75),
        (Faults(smtp=[SmtpFault(at="mail", reply="530 5.7.0 Authentication required")]), 77),
        (Faults(smtp=[SmtpFault(at="content", reply="554 5.2.252 SendAsDenied; not yours")]), 77),
        (Faults(smtp=[SmtpFault(at="content", reply="554 5.6.0 Content refused")]), 69),
        (Faults(smtp=[SmtpFault(at="greeting", reply="554 5.3.2 Go away")]), 77),
        (Faults(smtp=[SmtpFault(at="greeting", reply="421 4.3.2 Later")]), 75),
        (Faults(smtp=[SmtpFault(at="auth", reply="535 5.7.8 No")]), 77),
        (Faults(token=[TokenFault(kind="down")]), 75),
        (Faults(token=[TokenFault(kind="refused", error="invalid_grant")]), 77),
        (Faults(token=[TokenFault(kind="refused", error="invalid_client")]), 78),
        (
            Faults(token=[TokenFault(kind="refused", error="invalid_grant", description="AADSTS50034: x")]),
            78,
        ),
        (Faults(token=[TokenFault(kind="not-json")]), 75),
        (Faults(token=[TokenFault(kind="redirect")]), 78),
    ],
)
def test_one_fault_has_one_code(
    check: Check, sandbox: Sandbox, home: Home, faults: Faults, code: int
) -> None:
    sandbox.set_faults(faults)
    home.write(sandbox.configuration())
    sent = home.run("send", "--to", "you@example.org", "--text", "x", "--json")
    checked = check("--send-to", "you@example.org", "--json")
    assert (sent.code, checked.code) == (code, code)
    assert json.loads(sent.out)["error"]["exit"] == json.loads(checked.out)["exit"] == code


def test_a_token_endpoint_that_is_down_is_transient(check: Check, sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(token=[TokenFault(kind="down")]))
    ran = check("--json")
    assert ran.code == 75
    assert json.loads(ran.out)["exit"] == 75
    assert steps(ran) == {
        **dict.fromkeys(("configuration", "secret", "DNS", "TCP", "TLS", "EHLO"), True),
        "token": False,
        "AUTH": None,
        "message": None,
    }


def test_the_gravest_failure_decides(check: Check, sandbox: Sandbox, home: Home) -> None:
    missing = sandbox.configuration("second").replace("client-secret", "client-secret-gone", 2)
    text = sandbox.configuration() + missing.replace("client-secret-gone =", "client-secret =")
    sandbox.set_faults(Faults(smtp=[SmtpFault(at="greeting", reply="421 4.3.2 Later")]))
    assert check("sandbox", configuration=text).code == 75
    ran = check(configuration=text)
    assert ran.code == 78
    assert ran.out.index("\nsecond\n") > ran.out.index("sandbox\n")


def test_one_json_object(check: Check, sandbox: Sandbox) -> None:
    sandbox.set_faults(Faults(refuse_tokens=100))
    ran = check("--json", "-v")
    told = json.loads(ran.out)
    (account,) = told["accounts"]
    assert (told["ok"], told["exit"], account["account"], account["exit"]) == (False, 77, "sandbox", 77)
    (failed,) = (finding for finding in account["findings"] if finding["ok"] is False)
    assert failed["step"] == "AUTH"
    assert failed["failure"] == "refused"
    assert failed["commands"][0]["line"].startswith("New-ServicePrincipal -AppId sandbox-app")
    claims = next(each for each in account["findings"] if each["step"] == "token")["details"]["claims"]
    assert claims["audience"] == ["https://outlook.office365.com"]
    assert "C: AUTH XOAUTH2" in account["conversations"][0]


def test_the_conversation_is_shown_with_v(check: Check) -> None:
    ran = check("-v", "--send-to", "you@example.org")
    assert ran.code == 0
    assert "C: STARTTLS" in ran.err
    assert "C: ***" in ran.err
    assert "S: 235 2.7.0" in ran.err
    assert "C: MAIL FROM:<alerts@example.org>" in ran.err
    assert "C: " not in ran.out


def test_a_broken_configuration_is_a_finding(check: Check, home: Home) -> None:
    ran = check(configuration='[accounts.a]\nprovider = "smpt"\n')
    assert ran.code == 78
    assert f"✗ configuration  {home.config}:2: accounts.a.provider: " in ran.out
    assert "→ host operator: Did you mean smtp?" in ran.out
    told = json.loads(check("--json", configuration='[accounts.a]\nprovider = "smpt"\n').out)
    assert told["accounts"][0]["account"] == ""


def test_an_account_that_cannot_be_made_of_it(check: Check, sandbox: Sandbox, home: Home) -> None:
    text = sandbox.configuration() + 'proxy = "ftp://proxy.example.org"\n'
    ran = check(configuration=text)
    assert ran.code == 78
    assert ran.out.startswith(f"sandbox\n  ✗ configuration  {home.config}:")
    assert "accounts.sandbox.proxy: The proxy is not understood." in ran.out
    assert "→ host operator: Write http://HOST:PORT or socks5://HOST:PORT." in ran.out
    assert "– DNS            not done: the configuration is wrong" in ran.out
    assert json.loads(check("--json", configuration=text).out)["accounts"][0]["account"] == "sandbox"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nobody",), 78, "There is no account 'nobody'."),
        (("--send-to", "nobody"), 64, "is not a mail address"),
        (("--send-to", "a@example.org\nRCPT TO:<b@example.org>"), 64, "--send-to"),
    ],
)
def test_what_cannot_be_done(check: Check, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = check(*arguments)
    assert ran.code == code
    assert said in ran.err


def test_an_empty_configuration(check: Check) -> None:
    ran = check(configuration="# nothing yet\n")
    assert ran.code == 78
    assert "Add a table [accounts.NAME]." in ran.err


def test_a_line_is_explained_without_any_configuration(home: Home) -> None:
    home.config.unlink()
    ran = home.run("check", "--explain", "-", stdin="530 5.7.57 Client not authenticated to send mail")
    assert ran.code == 0
    assert "→ " in ran.out


def test_a_line_is_explained_for_one_account(check: Check) -> None:
    line = "535 5.7.8 Authentication credentials invalid"
    by_any = json.loads(check("--json", "--explain", line).out)["explanations"]
    by_one = json.loads(check("--json", "--explain", line, "sandbox").out)["explanations"]
    assert any(each["provider"].startswith("Gmail") for each in by_any)
    assert all(not each["provider"].startswith("Gmail") for each in by_one)
