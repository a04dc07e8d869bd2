"""A portal's system properties: names by their meaning, what has to be so, and what nothing was made of."""

from __future__ import annotations

import tomllib

import pytest

from postbearer.errors import ConfigError, UsageError
from postbearer.importing import parse_map
from support.importing import accounts, noted, portal, told

PROPERTIES = """\
# exported
SMTP.OAUTH GRANT TYPE=password
SMTP_AUTH_USERNAME=partners@example.org
USE_NO_REPLY_EMAIL_ID_AS_SENDER_FOR_ALL_EMAILS=true
SMTP_HOST=smtp.office365.com
SMTP_PORT=587
SMTP_OAUTH_PROVIDER=Microsoft Exchange
SMTP_OAUTH_TENANT_ID=example.org
SMTP_OAUTH_CLIENT_ID=portal-app
SMTP_OAUTH_SCOPE=https://outlook.office.com/SMTP.Send
SMTP_AUTH_PASSWORD=canary-password
"""


def without(name: str) -> str:
    return "".join(line for line in PROPERTIES.splitlines(True) if not line.startswith(name))


def test_the_properties_of_a_portal_are_one_account() -> None:
    imported = portal(PROPERTIES)
    assert accounts(imported) == {
        "portal": {
            "provider": "microsoft",
            "address": "partners@example.org",
            "tenant": "example.org",
            "grant": "password",
            "client-id": "portal-app",
            "password": "env:PORTAL_PASSWORD",
            "scopes": ["https://outlook.office.com/SMTP.Send"],
            "sender": "force",
        }
    }
    assert imported.to_set == {"PORTAL_PASSWORD": "the password of portal"}
    assert told(imported) == []
    assert "password hands the mailbox password" in noted(imported)
    assert "canary" not in imported.text


SPELLINGS = [
    ("SMTP.OAUTH GRANT TYPE=password", "SMTP_OAUTH_GRANT_TYPE = password"),
    ("SMTP_OAUTH_TENANT_ID=", "smtp.oauth.tenant.id="),
    ("SMTP_HOST=", "mail.smtp.host: "),
    ("SMTP_PORT=", "MAIL.SMTP.PORT "),
    ("SMTP_OAUTH_CLIENT_ID=portal-app", "SMTP_OAUTH_APPLICATION_ID=\\\n   portal\\u002dapp"),
    ("SMTP_OAUTH_PROVIDER=Microsoft Exchange\n", ""),
]


@pytest.mark.parametrize(("old", "new"), SPELLINGS, ids=[each[1] for each in SPELLINGS])
def test_a_name_is_read_by_its_meaning(old: str, new: str) -> None:
    assert old in PROPERTIES
    assert accounts(portal(PROPERTIES.replace(old, new))) == accounts(portal(PROPERTIES))


def test_every_line_that_was_not_used_is_named() -> None:
    more = "MAIL_MAX_RECIPIENTS=25\nDB_PASSWORD=canary-database\nSMTP_RELAY_HOST=other.example.org\n"
    imported = portal(PROPERTIES + more)
    assert [each.split(" was not used")[0] for each in told(imported)] == [
        "12: MAIL_MAX_RECIPIENTS",
        "13: DB_PASSWORD",
        "14: SMTP_RELAY_HOST",
    ]
    assert "canary" not in imported.text


def test_a_name_can_be_mapped_to_a_key() -> None:
    text = PROPERTIES + "MAIL_MAX_RECIPIENTS=25\nAPP KEY=canary-app-key\nPIN=canary-pin\n"
    mapped = parse_map(
        ("MAIL_MAX_RECIPIENTS=limits.recipients-per-message", "APP KEY=client-secret", "PIN=key-password")
    )
    imported = portal(text, mapped=mapped)
    account = accounts(imported)["portal"]
    assert account["limits"] == {"recipients-per-message": 25}
    assert account["client-secret"] == "env:PORTAL_CLIENT_SECRET"
    assert account["key-password"] == "env:PORTAL_KEY_PASSWORD"
    assert told(imported) == []
    assert "canary" not in imported.text


def test_a_connector_sends_what_is_too_much_for_the_mailbox() -> None:
    for imported in (
        portal(PROPERTIES, connector="example-org.mail.example.net:25"),
        portal(PROPERTIES + "SMTP_CONNECTOR_HOST=example-org.mail.example.net\n"),
    ):
        found = accounts(imported)
        assert (found["portal"]["fallback"], found["portal"]["overflow"]) == ("connector", "connector")
        assert found["connector"]["servers"] == ["example-org.mail.example.net:25"]
        assert found["connector"]["authentication"] == "none"


def test_login_codes_go_first() -> None:
    imported = portal(PROPERTIES, urgent=("Subject: Your PIN*",))
    assert tomllib.loads(imported.text)["relay"]["routes"] == [
        {"header": "Subject: Your PIN*", "priority": "urgent", "expire-after": "15 min"}
    ]


@pytest.mark.parametrize("line", ["", "USE_NO_REPLY_EMAIL_ID_AS_SENDER_FOR_ALL_EMAILS=false\n"])
def test_without_the_one_sender_it_says_what_the_provider_would_do(line: str) -> None:
    imported = portal(without("USE_NO_REPLY") + line)
    (left,) = told(imported)
    assert "after the content (554 5.2.252 SendAsDenied)" in left
    assert accounts(imported)["portal"]["sender"] == "force"


def test_a_password_shown_as_stars_is_asked_for() -> None:
    for text in (
        without("SMTP_AUTH_PASSWORD"),
        without("SMTP_AUTH_PASSWORD") + "SMTP_AUTH_PASSWORD=******\n",
    ):
        imported = portal(text)
        assert accounts(imported)["portal"]["password"] == "env:PORTAL_PASSWORD"
        assert list(imported.to_set) == ["PORTAL_PASSWORD"]


REFUSED = [
    ("GRANT TYPE=password", "GRANT TYPE=client_credentials", "2: The OAuth grant is 'client_credentials'"),
    ("SMTP.OAUTH GRANT TYPE=password\n", "", "Nothing says the OAuth grant"),
    ("Microsoft Exchange", "Acme Mail", "7: The provider 'Acme Mail' is not one that is known"),
    (
        "SMTP_HOST=smtp.office365.com\nSMTP_PORT=587\nSMTP_OAUTH_PROVIDER=Microsoft Exchange",
        "SMTP_OAUTH_PROVIDER=Google",
        "2: grant: cannot be 'password'",
    ),
    (
        "smtp.office365.com",
        "smtp.gmail.com",
        "5: The provider is 'Microsoft Exchange', and the server is one of",
    ),
    ("SMTP_AUTH_USERNAME=partners@example.org\n", "", "Nothing says the mailbox"),
    ("partners@example.org", "partners", "3: address: is no mail address"),
    (
        "# exported",
        "SMTP_OAUTH_USER=else@example.org",
        "1: SMTP_AUTH_USERNAME and SMTP_OAUTH_USER are not the same",
    ),
    ("SMTP_OAUTH_CLIENT_ID=portal-app\n", "", "client-id: is missing"),
    ("SMTP_PORT=587", "SMTP_PORT=smtp", "5: servers"),
]


@pytest.mark.parametrize(("old", "new", "expected"), REFUSED, ids=[each[2] for each in REFUSED])
def test_what_the_portal_could_not_send_by_is_refused(old: str, new: str, expected: str) -> None:
    assert old in PROPERTIES
    with pytest.raises(ConfigError) as caught:
        portal(PROPERTIES.replace(old, new))
    assert expected in str(caught.value)
    assert str(caught.value).startswith("portal.properties:")
    assert all(each.hint for each in caught.value.problems)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("NAME", "is not NAME=key"),
        ("=host", "is not NAME=key"),
        ("MAIL_HOST=host", "MAIL_HOST is not in portal.properties"),
        ("SMTP_HOST=hots", "hots is not a known key"),
    ],
)
def test_a_map_that_cannot_be_is_refused(given: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        portal(PROPERTIES, mapped=parse_map((given,)))


def test_an_old_file_in_latin_1_can_be_read() -> None:
    text = PROPERTIES.replace("# exported", "PORTAL_NAME=Händler").encode("latin-1")
    assert "1: PORTAL_NAME was not used." in told(portal(text))
