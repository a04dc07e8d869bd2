"""The presets that come with postbearer are complete; one that is not says what is wrong with it."""

from __future__ import annotations

import pytest

from postbearer.errors import ConfigError
from postbearer.providers import Disposition, Phase, names, parse, preset

OWN = """
name = "example"
title = "Example Mail"
servers = ["mail.example.org:465", "backup.example.org:465"]
tls = "implicit"
token-url = "https://login.example.org/token"
replies = ["google"]

[limits]
messages-per-minute = 10

[grants.client-credentials]
scopes = ["smtp.send"]

[[rule]]
id = "moon"
phase = ["eod"]
code = ["550-559"]
enhanced = ["5.7.100-120"]
text = ["full moon"]
disposition = "window"
wait = 3600
cause = "The moon is full."
mark = "reported"
sample = "550 5.7.110 It is full moon"
"""


def test_names_are_those_that_accounts_refer_to() -> None:
    assert {"microsoft", "google", "smtp"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_every_preset_is_complete(name: str) -> None:
    known = preset(name)
    assert known.name == name
    assert known.title
    assert known.setup
    assert known.rules
    assert bool(known.grants) != bool(known.no_oauth)
    assert all(step.do.endswith(".") for step in known.setup)
    if name == "smtp":
        return
    assert known.servers
    if known.no_oauth:
        return
    assert known.mechanisms
    assert known.token_url
    assert known.refresh_margin >= 60
    for grant, scopes in known.scopes.items():
        assert scopes or grant in ("static", "command")


def test_what_becomes_of_passwords_is_told_with_its_date() -> None:
    assert "December 2026" in preset("microsoft").passwords
    assert "2027" in preset("microsoft").passwords
    assert "September 2024" in preset("outlook").passwords
    assert "app passwords go on" in preset("google").passwords
    assert "September 2028" in preset("microsoft-hve").passwords


def test_azure_takes_an_app_with_a_user_name_for_smtp() -> None:
    known = preset("azure")
    assert known.servers == ("smtp.azurecomm.net:587",)
    assert known.scopes["client-credentials"] == ("https://communication.azure.com/.default",)
    assert known.limits.messages_per_minute == 30
    assert any("SMTP Usernames" in step.where for step in known.steps("client-credentials"))
    assert any("100 an hour" in note.text for note in known.quirks)


def test_microsoft() -> None:
    known = preset("microsoft")
    assert known.servers == ("smtp.office365.com:587",)
    assert known.tls == "starttls"
    assert known.mechanisms == ("XOAUTH2",)
    assert known.scopes["client-credentials"] == ("https://outlook.office365.com/.default",)
    assert known.scopes["device-code"] == ("https://outlook.office.com/SMTP.Send", "offline_access")
    assert known.limits.messages_per_minute == 30
    assert known.limits.recipients_per_day == 10_000
    assert known.limits.connections == 2
    assert known.endpoint(known.token_url, "contoso.com") == (
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    )
    assert any("New-ServicePrincipal" in step.command for step in known.steps("client-credentials"))
    assert not any("New-ServicePrincipal" in step.command for step in known.steps("device-code"))
    assert any("SmtpClientAuthenticationDisabled" in step.command for step in known.steps("device-code"))


@pytest.mark.parametrize(
    ("cloud", "server", "authority", "scope"),
    [
        (
            "gcc-high",
            "smtp.office365.us:587",
            "login.microsoftonline.us",
            "https://outlook.office365.us/.default",
        ),
        (
            "dod",
            "outlook-dod.office365.us:587",
            "login.microsoftonline.us",
            "https://outlook.office365.us/.default",
        ),
        (
            "china",
            "smtp.partner.outlook.cn:587",
            "login.partner.microsoftonline.cn",
            "https://partner.outlook.cn/.default",
        ),
    ],
)
def test_national_clouds_have_their_own_addresses(
    cloud: str, server: str, authority: str, scope: str
) -> None:
    known = preset("microsoft", cloud)
    assert known.cloud == cloud
    assert known.servers == (server,)
    assert known.device_url.startswith(f"https://{authority}/")
    assert known.scopes["client-credentials"] == (scope,)
    assert known.rules == preset("microsoft").rules
    assert preset("microsoft").in_cloud(cloud) == known
    assert known.in_cloud() == known
    assert known.in_cloud("global") == preset("microsoft")


@pytest.mark.parametrize("tenant", ["../common", "a/b", "a b", "@evil", "contoso.com#", "{tenant}"])
def test_a_tenant_cannot_lead_elsewhere(tenant: str) -> None:
    known = preset("microsoft")
    with pytest.raises(ConfigError, match="no tenant") as caught:
        known.endpoint(known.token_url, tenant)
    assert caught.value.key == "tenant"


@pytest.mark.parametrize(
    ("name", "server", "tls", "token_host", "scope"),
    [
        (
            "outlook",
            "smtp-mail.outlook.com:587",
            "starttls",
            "login.microsoftonline.com",
            "https://outlook.office.com/SMTP.Send",
        ),
        (
            "google-relay",
            "smtp-relay.gmail.com:587",
            "starttls",
            "oauth2.googleapis.com",
            "https://mail.google.com/",
        ),
        ("yahoo", "smtp.mail.yahoo.com:465", "implicit", "api.login.yahoo.com", "mail-w"),
        ("aol", "smtp.aol.com:465", "implicit", "api.login.aol.com", "mail-w"),
        ("att", "smtp.mail.att.net:465", "implicit", "api.login.yahoo.com", "mail-w"),
        (
            "fastmail",
            "smtp.fastmail.com:465",
            "implicit",
            "api.fastmail.com",
            "https://www.fastmail.com/dev/protocol-smtp",
        ),
        ("yandex", "smtp.yandex.com:465", "implicit", "oauth.yandex.com", "mail:smtp"),
        ("mailru", "smtp.mail.ru:465", "implicit", "o2.mail.ru", "mail.imap"),
        ("comcast", "smtp.comcast.net:587", "starttls", "oauth.xfinity.com", "https://email.comcast.net/"),
    ],
)
def test_a_persons_mailbox_lives_on_a_refresh_token(
    name: str, server: str, tls: str, token_host: str, scope: str
) -> None:
    known = preset(name)
    assert (known.servers, known.tls) == ((server,), tls)
    assert known.token_url.startswith(f"https://{token_host}/")
    assert known.scopes["refresh-token"][0] == scope


@pytest.mark.parametrize("name", ["outlook", "yahoo", "aol", "att"])
def test_what_no_personal_mailbox_offers_is_refused_by_name(name: str) -> None:
    assert preset(name).grants["client-credentials"].works == "no"
    assert preset(name).grants["password"].works == "no"


def test_google() -> None:
    known = preset("google")
    assert known.servers == ("smtp.gmail.com:465",)
    assert known.tls == "implicit"
    assert known.authorize_parameters == {"access_type": "offline", "prompt": "consent"}
    assert known.grants["device-code"].works == "no"
    assert "device-code" not in known.scopes
    assert known.scopes["jwt-bearer"] == ("https://mail.google.com/",)
    assert known.limits.recipients_per_message == 100


def test_an_unknown_provider_or_cloud_names_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="google, google-relay, icloud, mailru, microsoft, microsoft-hve, outlook, smtp"
    ):
        preset("hotmial")
    with pytest.raises(ConfigError, match="gcc-high"):
        preset("microsoft", "moon")
    with pytest.raises(ConfigError, match="no clouds"):
        preset("google", "china")
    with pytest.raises(ConfigError):
        preset("generic")
    assert preset("google", "global") == preset("google")


def test_rules_of_its_own_come_before_those_of_catalogues() -> None:
    known = parse(OWN, file="example.toml")
    assert known.servers[1] == "backup.example.org:465"
    moon = known.rules[0]
    assert (moon.name, moon.phase, moon.disposition, moon.wait) == (
        "example/moon",
        (Phase.EOD,),
        Disposition.WINDOW,
        3600,
    )
    assert any(rule.name == "google/token-refused" for rule in known.rules)
    assert any(rule.name == "generic/closing" for rule in known.rules)


@pytest.mark.parametrize(
    ("was", "written", "key", "says"),
    [
        ('title = "Example Mail"', "", "", "title"),
        ("tls =", "tsl =", "tsl", "tsl"),
        ('tls = "implicit"', 'tls = "maybe"', "tls", "maybe"),
        ("messages-per-minute = 10", 'messages-per-minute = "ten"', "limits.messages-per-minute", "int"),
        ("messages-per-minute = 10", "messages-per-minute = 0", "limits.messages-per-minute", ">= 1"),
        ("messages-per-minute", "messages_per_minute", "limits.messages_per_minute", "messages_per_minute"),
        ("mail.example.org:465", "mail.example.org", "", "host:port"),
        ("https://login.example.org", "http://login.example.org", "", "https"),
        ("https://login.example.org", "https://login.example.org@evil.example", "", "https"),
        ('disposition = "window"', 'disposition = "never"', "rule[0].disposition", "never"),
        ('phase = ["eod"]', 'phase = ["never"]', "rule[0].phase[0]", "never"),
        ('"550-559"', '"55x"', "rule[0]", "neither a number nor a range"),
        ('"5.7.100-120"', '"5.7"', "rule[0]", "neither a number nor a range"),
        ('text = ["full moon"]', 'pattern = ["("]', "rule[0]", "regular expression"),
        ('id = "moon"', 'id = "Full Moon"', "rule[0].id", "regex"),
        ('replies = ["google"]', 'replies = ["../secrets"]', "replies", "no catalogue"),
        ('replies = ["google"]', 'replies = ["nothing"]', "replies", "no catalogue"),
        ('name = "example"', 'name = "../x"', "name", "no name"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(was: str, written: str, key: str, says: str) -> None:
    assert was in OWN
    with pytest.raises(ConfigError) as caught:
        parse(OWN.replace(was, written), file="example.toml")
    assert caught.value.file == "example.toml"
    assert caught.value.key == key
    assert says in str(caught.value)


def test_a_rule_that_would_match_everything_is_refused() -> None:
    text = OWN.replace('code = ["550-559"]\nenhanced = ["5.7.100-120"]\ntext = ["full moon"]\n', "")
    with pytest.raises(ConfigError, match="match everything"):
        parse(text, file="example.toml")


def test_two_rules_of_one_name_are_refused() -> None:
    rule = OWN[OWN.index("[[rule]]") :]
    with pytest.raises(ConfigError, match="same id"):
        parse(OWN + rule, file="example.toml")


def test_a_text_that_is_no_toml_is_told_by_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("name = 'x'\ntitle = \n", file="example.toml")
    assert (caught.value.file, caught.value.line) == ("example.toml", 2)


def test_a_huge_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        parse("#" * (2 << 20), file="example.toml")


@pytest.mark.parametrize(("cloud", "server"), [
    ("", "smtp.zoho.com:465"),
    ("eu", "smtp.zoho.eu:465"),
    ("in", "smtp.zoho.in:465"),
    ("au", "smtp.zoho.com.au:465"),
    ("jp", "smtp.zoho.jp:465"),
])  # fmt: skip
def test_zoho_has_a_server_in_each_data_centre(cloud: str, server: str) -> None:
    known = preset("zoho", cloud)
    assert known.servers == (server,)
    assert known.tls == "implicit"
    assert any(f"smtppro{server.removeprefix('smtp')}" in note.text for note in known.quirks)


def test_where_no_token_helps_nothing_pretends_to() -> None:
    assert preset("icloud").servers == ("smtp.mail.me.com:587",)
    for name in ("zoho", "icloud"):
        known = preset(name)
        assert "password" in known.no_oauth
        assert not known.grants
        assert not known.token_url


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("microsoft", "port 465 is not offered"),
        ("microsoft", "not a scope"),
        ("microsoft", "refused after the content"),
        ("microsoft", "user name is the shared address"),
        ("microsoft", "audience must be Outlook"),
        ("microsoft", "partner.outlook.cn"),
        ("microsoft", "Application SMTP.SendAsApp"),
        ("microsoft", "grows with the licences"),
        ("microsoft-hve", "must be inside the organisation"),
        ("microsoft-hve", "within about ten minutes"),
        ("microsoft-hve", "has no effect"),
        ("outlook", "5,000 recipients"),
        ("google", "Port 587"),
        ("google", "gmail.send is for the API"),
        ("google", "after six months without use"),
        ("google", "500 messages a day"),
        ("google", "is rewritten"),
        ("google-relay", "by reports alone"),
        ("yahoo", "100 a message"),
        ("yahoo", "Port 587"),
        ("aol", "Clients of Yahoo are not known"),
        ("att", "are at Yahoo"),
        ("fastmail", "really ends in /oauth/refresh"),
        ("yandex", "smtp.yandex.ru"),
        ("mailru", "called after IMAP"),
        ("comcast", "Port 465"),
        ("zoho", "smtppro.zoho"),
    ],
)
def test_what_people_trip_over_is_told(name: str, says: str) -> None:
    assert any(says in note.text for note in preset(name).quirks)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("microsoft", (30, None, 10_000, 2, 500, 36_700_160)),
        ("microsoft-hve", (None, None, None, None, 50, 10_485_760)),
        ("google", (None, 2_000, 10_000, None, 100, 35_882_577)),
        ("google-relay", (None, 10_000, 10_000, None, None, None)),
        ("yandex", (None, None, None, None, None, 42_991_616)),
    ],
)
def test_limits_are_those_of_the_provider(name: str, expected: tuple[int | None, ...]) -> None:
    limits = preset(name).limits
    assert expected == (
        limits.messages_per_minute,
        limits.messages_per_day,
        limits.recipients_per_day,
        limits.connections,
        limits.recipients_per_message,
        limits.size,
    )


@pytest.mark.parametrize("name", [name for name in names() if preset(name).grants])
def test_a_token_is_renewed_early_enough(name: str) -> None:
    margins = {"microsoft-hve": 1200, "smtp": 60}
    assert preset(name).refresh_margin == margins.get(name, 600)


def test_what_servers_were_seen_to_offer_is_kept() -> None:
    assert "AUTH LOGIN XOAUTH2" in preset("microsoft").ehlo.after_tls
    assert any("OAUTHBEARER" in line for line in preset("google").ehlo.after_tls)
    assert "AUTH LOGIN PLAIN XOAUTH2" in preset("yandex").ehlo.after_tls
