"""What is known of each provider, line by line: where it is, what it grants, and what it lets pass.

Each table says again, by hand, what the presets hold; a preset that changes by mistake is noticed here.
"""

from __future__ import annotations

import pytest

from postbearer.providers import Preset, preset

MICROSOFT = "https://login.microsoftonline.com"
SEND = "https://outlook.office.com/SMTP.Send"
GMAIL = "https://mail.google.com/"
DAY = 86_400


@pytest.mark.parametrize(
    ("name", "authorize", "token", "device"),
    [
        (
            "microsoft",
            f"{MICROSOFT}/t.example/oauth2/v2.0/authorize",
            f"{MICROSOFT}/t.example/oauth2/v2.0/token",
            "devicecode",
        ),
        (
            "microsoft-hve",
            f"{MICROSOFT}/t.example/oauth2/v2.0/authorize",
            f"{MICROSOFT}/t.example/oauth2/v2.0/token",
            "devicecode",
        ),
        (
            "outlook",
            f"{MICROSOFT}/consumers/oauth2/v2.0/authorize",
            f"{MICROSOFT}/consumers/oauth2/v2.0/token",
            "devicecode",
        ),
        ("google", "https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token", ""),
        (
            "google-relay",
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "",
        ),
        (
            "yahoo",
            "https://api.login.yahoo.com/oauth2/request_auth",
            "https://api.login.yahoo.com/oauth2/get_token",
            "",
        ),
        (
            "aol",
            "https://api.login.aol.com/oauth2/request_auth",
            "https://api.login.aol.com/oauth2/get_token",
            "",
        ),
        (
            "att",
            "https://api.login.yahoo.com/oauth2/request_auth",
            "https://api.login.yahoo.com/oauth2/get_token",
            "",
        ),
        (
            "fastmail",
            "https://api.fastmail.com/oauth/authorize",
            "https://api.fastmail.com/oauth/refresh",
            "",
        ),
        ("yandex", "https://oauth.yandex.com/authorize", "https://oauth.yandex.com/token", "code"),
        ("mailru", "https://o2.mail.ru/login", "https://o2.mail.ru/token", ""),
        ("comcast", "https://oauth.xfinity.com/oauth/authorize", "https://oauth.xfinity.com/oauth/token", ""),
    ],
)
def test_where_tokens_come_from(name: str, authorize: str, token: str, device: str) -> None:
    known = preset(name)
    assert known.endpoint(known.authorize_url, "t.example") == authorize
    assert known.endpoint(known.token_url, "t.example") == token
    assert known.device_url.rpartition("/")[2] == device
    assert ("device-code" in known.scopes) == bool(device)  # with an endpoint, and where mail is let in


@pytest.mark.parametrize(
    ("name", "grant", "scopes"),
    [
        ("microsoft", "refresh-token", [SEND, "offline_access"]),
        ("microsoft", "client-credentials", ["https://outlook.office365.com/.default"]),
        ("microsoft", "workload-identity", ["https://outlook.office365.com/.default"]),
        ("microsoft", "managed-identity", ["https://outlook.office365.com/.default"]),
        ("microsoft-hve", "client-credentials", ["https://outlook.office365.com/.default"]),
        ("microsoft-hve", "refresh-token", ["https://outlook.office.com/Mail.Send", "offline_access"]),
        ("outlook", "device-code", [SEND, "offline_access"]),
        ("google", "refresh-token", [GMAIL]),
        ("google", "jwt-bearer", [GMAIL]),
        ("google-relay", "jwt-bearer", [GMAIL]),
        ("yahoo", "refresh-token", ["mail-w"]),
        ("fastmail", "refresh-token", ["https://www.fastmail.com/dev/protocol-smtp", "offline_access"]),
        ("yandex", "device-code", ["mail:smtp"]),
        ("mailru", "refresh-token", ["mail.imap"]),
        ("comcast", "refresh-token", ["https://email.comcast.net/", "profile", "openid"]),
    ],
)
def test_what_is_asked_for(name: str, grant: str, scopes: list[str]) -> None:
    assert {str(key): list(value) for key, value in preset(name).scopes.items()}[grant] == scopes


@pytest.mark.parametrize(
    ("name", "grants"),
    [
        ("outlook", {"client-credentials", "password"}),
        ("google", {"device-code", "client-credentials", "password"}),
        ("google-relay", {"device-code", "client-credentials", "password"}),
        ("yahoo", {"device-code", "client-credentials", "password"}),
        ("aol", {"device-code", "client-credentials", "password"}),
        ("att", {"device-code", "client-credentials", "password"}),
        ("fastmail", {"device-code"}),
        ("mailru", {"device-code"}),
    ],
)
def test_what_does_not_work_is_told_with_its_reason(name: str, grants: set[str]) -> None:
    refused = {str(key): grant for key, grant in preset(name).grants.items() if grant.works == "no"}
    assert set(refused) == grants
    assert all(grant.note.endswith(".") for grant in refused.values())


@pytest.mark.parametrize(
    ("name", "server", "other"),
    [
        ("microsoft", "smtp.office365.com:587", "Port 25 works like 587"),
        ("google", "smtp.gmail.com:465", "Port 587"),
        ("google-relay", "smtp-relay.gmail.com:587", "Ports 25 and 465"),
        ("yahoo", "smtp.mail.yahoo.com:465", "Port 587"),
        ("aol", "smtp.aol.com:465", "Port 587"),
        ("att", "smtp.mail.att.net:465", "Port 587"),
        ("fastmail", "smtp.fastmail.com:465", "Port 587"),
        ("yandex", "smtp.yandex.com:465", "smtp.yandex.ru"),
        ("comcast", "smtp.comcast.net:587", "Port 465"),
        ("zoho", "smtp.zoho.com:465", "smtppro.zoho"),
        ("icloud", "smtp.mail.me.com:587", ""),
        ("microsoft-hve", "smtp.hve.mx.microsoft:587", "smtp-hve.office365.com"),
        ("outlook", "smtp-mail.outlook.com:587", "smtp.office365.com:587"),
    ],
)
def test_where_mail_goes_and_where_else_it_could(name: str, server: str, other: str) -> None:
    known = preset(name)
    assert known.servers == (server,)
    assert known.tls == ("implicit" if server.endswith(":465") else "starttls")
    assert other in told(known)


@pytest.mark.parametrize(
    ("name", "margin", "idle"),
    [
        ("microsoft", 600, 90 * DAY),
        ("microsoft-hve", 1200, 90 * DAY),
        ("outlook", 600, 90 * DAY),
        ("google", 600, 180 * DAY),
        ("google-relay", 600, 180 * DAY),
        ("yahoo", 600, 0),
        ("aol", 600, 0),
        ("att", 600, 0),
        ("fastmail", 600, 0),
        ("yandex", 600, 0),
        ("mailru", 600, 0),
        ("comcast", 600, 0),
    ],
)
def test_how_long_tokens_are_relied_on(name: str, margin: float, idle: float) -> None:
    known = preset(name)
    assert (known.refresh_margin, known.refresh_idle) == (margin, idle)
    assert known.connection_age < 20 * 60  # some servers look at the token again


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        (
            "microsoft",
            {
                "messages_per_minute": 30,
                "recipients_per_day": 10_000,
                "recipients_per_message": 500,
                "connections": 2,
            },
        ),
        ("microsoft-hve", {"recipients_per_message": 50, "size": 10 * 1024 * 1024}),
        (
            "google",
            {
                "messages_per_day": 2000,
                "recipients_per_day": 10_000,
                "recipients_per_message": 100,
                "size": 35_882_577,
            },
        ),
        (
            "google-relay",
            {"messages_per_day": 10_000, "recipients_per_day": 10_000, "recipients_per_message": None},
        ),
        ("yandex", {"size": 42_991_616}),
        ("outlook", {"recipients_per_day": None}),  # sources contradict each other
        ("yahoo", {"recipients_per_day": None}),
    ],
)
def test_what_is_let_through(name: str, limits: dict[str, int | None]) -> None:
    known = preset(name).limits
    assert {key: getattr(known, key) for key in limits} == limits


@pytest.mark.parametrize(
    ("name", "before", "after", "never"),
    [
        (
            "microsoft",
            "STARTTLS",
            ["AUTH LOGIN XOAUTH2", "SIZE 157286400", "BINARYMIME", "DSN"],
            "OAUTHBEARER",
        ),
        ("google", "STARTTLS", ["SIZE 35882577", "CHUNKING", "SMTPUTF8"], "DSN"),
        ("yandex", "", ["AUTH LOGIN PLAIN XOAUTH2", "SIZE 42991616", "DSN"], "CHUNKING"),
    ],
)
def test_what_was_seen_behind_ehlo(name: str, before: str, after: list[str], never: str) -> None:
    seen = preset(name).ehlo
    assert not before or before in seen.before_tls
    assert set(after) <= set(seen.after_tls)
    assert not any(never in line for line in seen.after_tls)
    assert not any(line.startswith("AUTH") for line in seen.before_tls)  # a token would cross in the clear


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("microsoft", "object id is the Enterprise application's"),
        ("microsoft", "New-ServicePrincipal -AppId"),
        ("microsoft", "Add-MailboxPermission"),
        ("microsoft", "Add-RecipientPermission"),
        ("microsoft", "Set-CASMailbox"),
        ("microsoft", "Set-TransportConfig"),
        ("microsoft", "Application SMTP.SendAsApp"),
        ("microsoft", "Mobile and desktop"),
        ("microsoft", "Security Defaults"),
        ("microsoft", "AADSTS90038"),
        ("microsoft", "AADSTS70011"),
        ("microsoft", "api://AzureADTokenExchange"),
        ("microsoft", "24 months"),
        ("microsoft", "24 hours"),
        ("microsoft", "/oauth2/token"),
        ("microsoft", "550 5.7.30"),
        ("microsoft", "login.chinacloudapi.cn"),
        ("microsoft", "Sent Items"),
        ("microsoft", "shared mailbox"),
        ("microsoft", "not a scope"),
        ("microsoft", "grows with the licences"),
        ("microsoft", "22,059"),
        ("microsoft", "relay connector"),
        ("microsoft", "150 MB"),
        ("microsoft-hve", "Add-HVEAppAccess"),
        ("microsoft-hve", "inside the organisation"),
        ("microsoft-hve", "ends within about ten minutes"),
        ("microsoft-hve", "September 2028"),
        ("microsoft-hve", "outlook.office.com/.default"),
        ("outlook", "personal account alone"),
        ("outlook", "16 September 2024"),
        ("google", "May 2025"),
        ("google", "mail merge"),
        ("google", "restricted"),
        ("google", "seven days"),
        ("google", "invalid_rapt"),
        ("google", "numeric client ID"),
        ("google", "verified aliases"),
        ("google", "100 newer"),
        ("google", "1 KiB"),
        ("google", "box for each permission"),
        ("google-relay", "network addresses"),
        ("yahoo", "commercial access"),
        ("aol", "Clients of Yahoo"),
        ("fastmail", "/oauth/refresh"),
        ("yandex", "Allow mail programs"),
        ("zoho", "REST interface"),
        ("smtp", "bound to a key"),
    ],
)
def test_what_people_are_told(name: str, words: str) -> None:
    assert words in told(preset(name))


def told(known: Preset) -> str:
    """All the prose of a preset."""
    return "\n".join(
        [
            known.no_oauth,
            known.passwords,
            *(grant.note for grant in known.grants.values()),
            *(f"{step.do} {step.command} {step.where}" for step in known.setup),
            *(note.text for note in known.quirks),
            *(cloud.note for cloud in known.clouds.values()),
        ]
    )


@pytest.mark.parametrize(
    ("name", "cloud", "spf", "selectors"),
    [
        ("microsoft", "global", "spf.protection.outlook.com", ["selector1", "selector2"]),
        ("microsoft", "gcc-high", "spf.protection.office365.us", ["selector1", "selector2"]),
        ("microsoft", "dod", "spf.protection.office365.us", ["selector1", "selector2"]),
        ("microsoft", "china", "spf.protection.partner.outlook.cn", ["selector1", "selector2"]),
        (
            "azure",
            "",
            "spf.protection.outlook.com",
            ["selector1-azurecomm-prod-net", "selector2-azurecomm-prod-net"],
        ),
        ("google", "", "_spf.google.com", ["google"]),
        ("google-relay", "", "_spf.google.com", ["google"]),
        ("fastmail", "", "spf.messagingengine.com", ["fm1", "fm2", "fm3"]),
        ("yandex", "", "_spf.yandex.net", ["mail"]),
        ("mailru", "", "_spf.mail.ru", ["mailru"]),
        ("icloud", "", "icloud.com", ["sig1"]),
        ("zoho", "", "", []),  # several by place of the data, and selectors of one's own choice
        ("smtp", "", "", []),
    ],
)
def test_what_dns_has_to_say_of_a_senders_domain(
    name: str, cloud: str, spf: str, selectors: list[str]
) -> None:
    known = preset(name, cloud).sender_domain
    assert (known.spf, list(known.dkim)) == (spf, selectors)
    assert not known.owns("example.org")


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("microsoft", "contoso.onmicrosoft.com"),
        ("google", "gmail.com"),
        ("fastmail", "fastmail.com"),
        ("icloud", "me.com"),
        ("yandex", "ya.ru"),
        ("mailru", "bk.ru"),
        ("outlook", "hotmail.com"),
        ("yahoo", "ymail.com"),
        ("aol", "aol.com"),
        ("att", "att.net"),
        ("comcast", "comcast.net"),
    ],
)
def test_domains_that_a_provider_looks_after_itself(name: str, domain: str) -> None:
    assert preset(name).sender_domain.owns(domain)
    everything = name in ("outlook", "yahoo", "aol", "att", "comcast")
    assert preset(name).sender_domain.owns("gmail.com.example.org") is everything
