"""A mailbox that `postbearer init` described, and that works, is broken in one way after another.

Each time `postbearer check` says what it is, who can cure it, and what has to be typed.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cli.conftest import Home
from postbearer.testing import Faults, Sandbox, SmtpFault, TokenFault
from postbearer.testing.tokens import OBJECT_ID

SMTP_SEND = "https://outlook.office.com/SMTP.Send"
GUID = "11111111-2222-3333-4444-555555555555"
OFF = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the"
POLICY = "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria"
LOGON = "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed"
FULL = (
    "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionQuotaExceeded"
)
SWITCH = "Set-CASMailbox -Identity alerts@example.org -SmtpClientAuthenticationDisabled $false"
KNOWN = f"New-ServicePrincipal -AppId sandbox-app -ObjectId {OBJECT_ID}"
LET_IN = f"Add-MailboxPermission -Identity alerts@example.org -User {OBJECT_ID} -AccessRights FullAccess"
CONSENT = "https://login.microsoftonline.com/example.org/adminconsent?client_id=sandbox-app"

Make = Callable[[Sandbox], str]


def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Break:
    """One way to break it: what is set in the configuration, or what goes wrong at the provider.

    `step` is where it shows, `who` can cure it, `code` is the exit code; `says` stands in cause, fix or
    notes, and `commands` are what an administrator types.
    """

    what: str
    step: str
    code: int
    says: tuple[str, ...]
    who: str
    commands: tuple[str, ...] = ()
    set: dict[str, str | Make] = field(default_factory=dict)
    secret: str = ""
    faults: Faults = field(default_factory=Faults)
    person: bool = False  # an account for which somebody has signed in


def refused(error: str, description: str) -> Faults:
    return Faults(token=[TokenFault(kind="refused", error=error, description=description)])


def smtp(at: str, reply: str) -> Faults:
    return Faults(smtp=[SmtpFault(at=at, reply=reply)])  # type: ignore[arg-type]


BREAKS = [
    Break("the secret is wrong", "token", 78, ("Secret ID",), "app owner", secret="wrong"),
    Break(
        "the secret's id in place of its value", "token", 78,
        ("client-secret looks like the Secret ID; what is needed is the secret's Value",), "app owner",
        secret=GUID,
    ),
    Break(
        "the secret is over", "token", 78, ("secret", "over"), "app owner",
        faults=refused("invalid_client", "AADSTS7000222: The provided client secret keys are expired."),
    ),
    Break(
        "the secret is not there", "secret", 78, ("is not set", "unit file"), "host operator",
        set={"client-secret": "env:SHOP_SECRET_IS_NOT_SET"},
    ),
    Break(
        "the tenant is another", "token", 78, ("tenant",), "app owner",
        set={"token-url": lambda at: f"{at.url}/wrong.example.org/oauth2/v2.0/token"},
    ),
    Break(
        "the app is unknown", "token", 78, ("client-id and tenant",), "app owner",
        set={"client-id": "another-app"},
    ),
    Break(
        "the scope is none", "token", 78, (".default",), "app owner",
        set={"scopes": '["https://outlook.office.com/SMTP.SendAsApp"]'},
    ),
    Break(
        "the token is for Graph", "token", 78,
        ("Microsoft Graph", 'scopes = ["https://outlook.office365.com/.default"]'), "app owner",
        faults=Faults(audience="https://graph.microsoft.com"),
    ),
    Break(
        "nobody consented", "token", 77, ("consent",), "tenant admin", (CONSENT,),
        faults=refused("invalid_grant", "AADSTS65001: The administrator has not consented to the app."),
    ),
    Break(
        "Conditional Access", "token", 77, ("Conditional Access",), "tenant admin",
        faults=refused("access_denied", "AADSTS53003: Access has been blocked by policies."),
    ),
    Break(
        "the role is missing", "AUTH", 77, ("SMTP.SendAsApp", "grant admin consent"), "tenant admin",
        (CONSENT, KNOWN, LET_IN, SWITCH), faults=Faults(without_role=True),
    ),
    Break(
        "Exchange does not know the app, or by a wrong object id", "AUTH", 77,
        ("The token itself is right", "object id of the Enterprise application"), "tenant admin",
        (KNOWN, LET_IN, SWITCH), faults=Faults(refuse_tokens=9),
    ),
    Break(
        "SMTP is off for the organisation", "AUTH", 77, ("organisation",), "tenant admin", (SWITCH,),
        faults=smtp("auth", f"{OFF} Tenant."),
    ),
    Break(
        "SMTP is off for the mailbox", "AUTH", 77, ("switched off for this mailbox",), "tenant admin",
        (SWITCH,), faults=smtp("auth", f"{OFF} Mailbox."),
    ),
    Break(
        "a policy keeps the login out", "AUTH", 77, ("sign-in log",), "tenant admin",
        faults=smtp("auth", POLICY),
    ),
    Break(
        "the app may not open the mailbox", "message", 75, ("FullAccess",), "tenant admin", (LET_IN,),
        faults=smtp("content", LOGON),
    ),
    Break(
        "the mailbox is full", "message", 77, ("Sent Items",), "mailbox user", faults=smtp("content", FULL),
    ),
    Break(
        "Send As is missing", "message", 77, ("may not send under this address",), "tenant admin",
        (f"Add-RecipientPermission -Identity shared@example.org -Trustee {OBJECT_ID} -AccessRights SendAs",),
        set={"address": "shared@example.org", "username": "alerts@example.org"},
    ),
    Break(
        "the sign-in is over", "token", 77, ("Sign in again",), "mailbox user",
        faults=Faults(revoked=True), person=True,
    ),
    Break(
        "the port is wrong", "TCP", 75, ("name and port", "firewall"), "host operator",
        set={"servers": lambda at: f'["localhost:{closed_port()}"]'},
    ),
    Break(
        "the certificate is not trusted", "TLS", 78, ("ca-file",),
        "host operator", set={"ca-file": ""},
    ),
    Break(
        "a portal answers in place of the token endpoint", "token", 75, ("proxy",), "host operator",
        faults=Faults(token=[TokenFault(kind="not-json")]),
    ),
]  # fmt: skip


@pytest.mark.parametrize("how", BREAKS, ids=lambda how: how.what)
def test_check_names_the_fix(how: Break, home: Home, sandbox_microsoft: Sandbox) -> None:
    set_up(home, sandbox_microsoft, person=how.person)
    before = home.run("check", "alerts", "--send-to", "you@example.org")
    assert before.code == 0, before.out
    break_it(home, sandbox_microsoft, how)
    ran = home.run("check", "alerts", "--send-to", "you@example.org", "--json")
    told = json.loads(ran.out)["accounts"][0]["findings"]
    (failed,) = [each for each in told if each["ok"] is False]
    shown = json.dumps(told, ensure_ascii=False).replace('\\"', '"')
    assert failed["step"] == how.step, failed
    assert [text for text in how.says if text not in shown] == []
    assert (ran.code, failed["who"]) == (how.code, how.who), failed
    assert tuple(each["line"] for each in failed.get("commands", ())) == how.commands
    assert failed["fix"]
    assert sandbox_microsoft.client_secret not in ran.out


def set_up(home: Home, sandbox: Sandbox, *, person: bool) -> None:
    """What a new user does, up to a configuration."""
    home.environ |= {"SHOP_SECRET": sandbox.client_secret, "POSTBEARER_CONFIG": str(home.config)}
    told = sandbox.describe()
    options = {
        "provider": "microsoft",
        "tenant": "example.org",
        "address": "alerts@example.org",
        "server": f"localhost:{told['smtp']['starttls_port']}",
        "ca-file": told["ca_file"],
        "token-url": told["token_url"],
        "grant": "client-credentials",
        "client-id": told["client_id"],
        "client-secret": "env:SHOP_SECRET",
    }
    if person:
        token = home.folder / "refresh-token"
        token.write_text(sandbox.register.sign_in(told["client_id"], "alerts@example.org", SMTP_SEND))
        token.chmod(0o600)
        options |= {"grant": "refresh-token", "refresh-token": f"file:{token}"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    made = home.run("init", "--force", *words)
    assert made.code == 0, made.err


def break_it(home: Home, sandbox: Sandbox, how: Break) -> None:
    for key, value in how.set.items():
        text = value if isinstance(value, str) else value(sandbox)
        words = ("set", f"accounts.alerts.{key}", text) if text else ("unset", f"accounts.alerts.{key}")
        changed = home.run("config", *words)
        assert changed.code == 0, changed.err
    if how.secret:
        home.environ["SHOP_SECRET"] = how.secret
    sandbox.set_faults(how.faults)
