"""A good file loads; every way to get it wrong is told with file, line, key and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.config import load
from postbearer.errors import ConfigError
from support.configuration import COMPLETE

Write = Callable[[str], Path]
CANARY = "canary-Zy8~Q.1+abc"


def problems(path: Path, environ: dict[str, str] | None = None) -> tuple[ConfigError, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    return caught.value.problems


def only(path: Path, environ: dict[str, str] | None = None) -> ConfigError:
    (problem,) = problems(path, environ)
    return problem


def test_a_complete_file_loads_with_all_defaults(written: Write) -> None:
    configuration = load(written(COMPLETE), {})
    account = configuration.account("alerts")
    assert account.address == "alerts@example.org"
    assert account.client_secret == "env:ALERTS_SECRET"
    assert account.sender == "force"
    assert account.authentication == "oauth"
    assert account.mechanism == "auto"
    assert account.maximum_token_lifetime is None
    assert configuration.settings.relay is None


def test_words_become_seconds_and_octets(written: Write) -> None:
    more = 'maximum-token-lifetime = "1h 30m"\nrefresh-margin = 90\n'
    more += 'limits = { size = "10 MiB", connections = 2 }\n'
    account = load(written(COMPLETE + more), {}).account("alerts")
    assert account.maximum_token_lifetime == 5400
    assert account.refresh_margin == 90
    assert account.limits.size == 10_485_760
    assert account.limits.connections == 2


def test_what_a_server_gets_wrong_is_left_unused_by_its_account(written: Write) -> None:
    path = written(COMPLETE + 'unused-extensions = ["chunking", "dsn"]\n')
    assert Assembly.load(path, environ={}).account("alerts").smarthost.unused == ("chunking", "dsn")


def test_the_keys_of_the_relay_are_read_too(written: Write) -> None:
    text = (
        COMPLETE
        + """
[relay]
listen = ["127.0.0.1:2525"]
account = "alerts"
retry = { first = "1m", factor = 2, maximum = "1h" }
[[relay.clients]]
name = "printer"
networks = ["192.0.2.0/24"]
legacy = true
[[relay.routes]]
from = "*@example.org"
header = { X-Priority = "1*" }
account = "alerts"
priority = "urgent"
expire-after = "10m"
[http]
listen = ["127.0.0.1:8025"]
[notify]
mail-to = ["ops@example.org"]
[vault]
key = "file:key"
[secret-stores.safe]
type = "hashicorp-vault"
address = "https://vault.example.org"
cache = "5m"
"""
    )
    settings = load(written(text), {}).settings
    assert settings.relay is not None
    assert settings.relay.routes[0].from_ == "*@example.org"
    assert settings.relay.routes[0].expire_after == 600
    assert settings.relay.retry.first == 60
    assert settings.secret_stores["safe"]["type"] == "hashicorp-vault"
    assert settings.vault.key == "file:key"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says", "hint"),
    [
        ("client-id ", "clientid ", 8, "clientid", "not a known key", "client-id?"),
        ('grant = "client-credentials"', 'grant = "client-credential"', 6, "grant",
         "cannot be 'client-credential'", "client-credentials?"),
        ('grant = "client-credentials"', "", 2, "grant", "is missing", "client-credentials"),
        ('grant = "client-credentials"', "grant = 1", 6, "grant", "not a number", ""),
        ('provider = "smtp"', 'provider = "smpt"', 3, "provider", "cannot be 'smpt'", "smtp?"),
        ('address = "alerts@example.org"', "", 2, "address", "is missing", "address ="),
        ("alerts@example.org", "alerts", 5, "address", "no mail address", "user@example.org"),
        ("alerts@example.org", r"a\n@example.org", 5, "address", "control character", ""),
        ('client-secret = "env:ALERTS_SECRET"', "", 2, "client-secret",
         "is missing (or certificate", "secret reference"),
        ('client-id = "shop" ', "# ", 2, "client-id", "is missing", "client-id ="),
        ('"shop" ', "12 ", 8, "client-id", "must be a text, not a number", "quotes"),
        ('token-url = "https://login.example.org/token"', "", 2, "token-url", "is missing",
         "issuer"),
        ("https://login.example.org", "http://login.example.org", 7, "token-url",
         "in the clear", "loopback"),
        ("https://login", "ldap://login", 7, "token-url", "not a web URL", "https://"),
        ("https://login", "https://me:pw@login", 7, "token-url", "user name", ""),
        ('["mail.example.org:587"]', '"mail.example.org:587"', 4, "servers", "must be a list",
         "brackets"),
        ("mail.example.org:587", "mail.example.org", 4, "servers.0", "cannot be", "host:port"),
        ("mail.example.org:587", "mail.example.org:70000", 4, "servers.0", "70000", "65535"),
        ('["mail.example.org:587"]', "[]", 4, "servers", "is empty", "servers ="),
        ('servers = ["mail.example.org:587"]', "", 2, "servers", "is missing", "servers ="),
        ("# as registered", '\ntls = "none-loopback"', 9, "tls", "without TLS", "starttls"),
        ("# as registered", '\nehlo-name = "my host"', 9, "ehlo-name", "cannot be", "[192.0.2.1]"),
        ("# as registered", '\ntls = "startls"', 9, "tls", "cannot be", "starttls?"),
        ("# as registered", '\nfallback = "other"', 9, "fallback", "does not exist", "alerts"),
        ("# as registered", '\noverflow = "alerts"', 9, "overflow", "itself", "another"),
        ("# as registered", '\ntimeout = "soon"', 9, "timeout", "not a duration", "1h 30m"),
        ("# as registered", "\ntimeout = 0", 9, "timeout", "is zero", "1h 30m"),
        ("# as registered", "\nlimits = { size = true }", 9, "limits.size", "not a size", "MiB"),
        ("# as registered", "\nlimits = { connections = 0 }", 9, "limits.connections",
         "at least 1", ""),
        ("# as registered", "\nlimits = { conections = 1 }", 9, "limits.conections",
         "not a known key", "connections?"),
        ("# as registered", "\nlimits = 3", 9, "limits", "must be a table", ""),
        ("# as registered", '\nscopes = "smtp.send"', 9, "scopes", "must be a list", "brackets"),
        ("# as registered", '\nehlo-name = ""', 9, "ehlo-name", "is empty", "leave"),
        ("# as registered", '\npassword = "env:PASSWORD"', 9, "password", "no effect", "Take it away"),
        ("# as registered", '\nunused-extensions = ["starttls"]', 9, "unused-extensions.0",
         "cannot be", "chunking"),
        ("# as registered", "\ncommand = 5", 9, "command", "a text or a list", ""),
        ("# as registered", '\nauthentication = "password"', 2, "password", "is missing", "env:"),
        ("# as registered", '\ncloud = "dod"', 9, "cloud", "", ""),
        ("# as registered", '\nrefresh-token = 2026-01-01', 9, "refresh-token", "a date", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_its_cure(
    written: Write, old: str, new: str, line: int, key: str, says: str, hint: str
) -> None:
    assert old in COMPLETE
    path = written(COMPLETE.replace(old, new, 1))
    problem = only(path)
    assert (problem.file, problem.line, problem.key) == (str(path), line, f"accounts.alerts.{key}")
    assert says in problem.message
    assert hint in problem.hint
    assert str(problem).startswith(f"{path}:{line}: accounts.alerts.{key}: ")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_number_has_an_end(written: Write, value: str) -> None:
    problem = only(written(f"{COMPLETE}\n[relay.retry]\nfactor = {value}\n"))
    assert (problem.key, "finite" in problem.message) == ("relay.retry.factor", True)


def test_a_misspelt_table_is_told_by_the_line_of_its_head(written: Write) -> None:
    problem = only(written(COMPLETE.replace("[accounts.", "[acounts.")))
    assert (problem.line, problem.key, problem.hint) == (2, "acounts", "Did you mean accounts?")


def test_an_account_has_a_name_that_the_environment_can_spell(written: Write) -> None:
    problem = only(written(COMPLETE.replace("[accounts.alerts]", "[accounts.Alerts]")))
    assert (problem.line, problem.key) == (2, "accounts.Alerts")
    assert "lower case" in problem.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("client-secret", CANARY),
        ("client-secret", f"env:{CANARY}"),
        ("client-secret", f"canary:{CANARY}"),
        ("password", f"{CANARY}\n{CANARY}"),
        ("refresh-token", CANARY),
        ("certificate", "-----BEGIN CERTIFICATE-----" + CANARY),
        ("private-key", CANARY),
        ("service-account", '{"private_key": "' + CANARY),
        ("token", CANARY),
        ("assertion", ""),
    ],
)
def test_a_literal_secret_is_refused_and_not_repeated(written: Write, key: str, value: str) -> None:
    kept = [row for row in COMPLETE.splitlines() if not row.startswith(f"{key} ")]
    text = "\n".join([*kept, f"{key} = {json.dumps(value)}\n"])
    problem = only(written(text))
    assert problem.key == f"accounts.alerts.{key}"
    assert problem.line == len(text.splitlines())
    assert "env:NAME" in problem.hint
    assert "canary" not in str(problem).lower()


def test_a_named_store_makes_its_prefix_a_reference(written: Write) -> None:
    text = COMPLETE.replace("env:ALERTS_SECRET", "safe:mail#secret")
    assert only(written(text)).key == "accounts.alerts.client-secret"
    load(written(text + '[secret-stores.safe]\ntype = "command"\n'), {})


@pytest.mark.parametrize(
    ("table", "key", "says"),
    [
        ("[secret-stores.safe]\n", "secret-stores.safe.type", "is missing"),
        (
            '[secret-stores.safe]\ntype = "command"\ncache = "x"\n',
            "secret-stores.safe.cache",
            "not a duration",
        ),
        ('[secret-stores.env]\ntype = "command"\n', "secret-stores.env", "built-in"),
        ('[relay]\naccount = "alert"\n', "relay.account", "does not exist"),
        ('[[relay.clients]]\nname = "x"\naccount = "no"\n', "relay.clients.0.account", "does not exist"),
        ('[[relay.routes]]\naccount = "no"\n', "relay.routes.0.account", "does not exist"),
        ("[[relay.clients]]\nlegacy = true\n", "relay.clients.0.name", "is missing"),
        ('[relay]\nlisten = "127.0.0.1:25"\n', "relay.listen", "must be a list"),
        ("[relay]\nsize = 0\n", "relay.size", "is zero"),
        ("[relay.retry]\nfirst = 0\n", "relay.retry.first", "is zero"),
        ("[relay.retry]\nmaximum = 0\n", "relay.retry.maximum", "is zero"),
        ('[[relay.clients]]\nname = "x"\nnetworks = ["lan"]\n', "relay.clients.0.networks.0", "no network"),
        ('[vault]\nkey = "abc"\n', "vault.key", "not a secret reference"),
        ('[notify]\naccount = "no"\n', "notify.account", "does not exist"),
        ('[vault]\nkey = "abcdef"\n', "vault.key", "not a secret reference"),
    ],
)
def test_tables_beside_the_accounts_are_checked_too(written: Write, table: str, key: str, says: str) -> None:
    problem = only(written(COMPLETE + table))
    assert problem.key == key
    assert says in problem.message
    assert problem.line
    assert problem.line > len(COMPLETE.splitlines())


def test_everything_that_is_wrong_is_told_at_once(written: Write) -> None:
    text = COMPLETE.replace("shop", "").replace("env:ALERTS_SECRET", CANARY).replace(":587", "")
    found = problems(written(text + 'tls = 5\nfallback = "x"\n'))
    assert [problem.key.removeprefix("accounts.alerts.") for problem in found] == [
        "servers.0",
        "client-id",
        "client-secret",
        "tls",
        "fallback",
    ]


@pytest.mark.parametrize(
    ("grant", "missing"),
    [
        ("password", ["password"]),
        ("authorization-code", ["authorize-url"]),
        ("device-code", ["device-url"]),
        ("refresh-token", ["refresh-token"]),
        ("jwt-bearer", ["service-account"]),
        ("workload-identity", ["assertion"]),
        ("static", ["token"]),
        ("command", ["command"]),
        ("managed-identity", []),
    ],
)
def test_the_key_that_a_grant_misses_is_named(written: Write, grant: str, missing: list[str]) -> None:
    path = written(COMPLETE.replace("client-credentials", grant))
    if not missing:
        load(path, {})
        return
    found = problems(path)
    assert [problem.key for problem in found] == [f"accounts.alerts.{key}" for key in missing]
    assert all(grant in problem.message for problem in found)


@pytest.mark.parametrize(
    ("account", "missing"),
    [
        ('provider = "microsoft"\ngrant = "client-credentials"\ntenant = "example.org"', []),
        ('provider = "microsoft"\ngrant = "client-credentials"', ["tenant"]),
        ('provider = "microsoft"\ngrant = "authorization-code"', []),
        ('provider = "google"\ngrant = "jwt-bearer"\nservice-account = "file:/k"', []),
        ('provider = "google"\ngrant = "device-code"', ["grant"]),
    ],
)
def test_a_preset_brings_along_what_the_provider_fixes(
    written: Write, account: str, missing: list[str]
) -> None:
    text = f'[accounts.a]\naddress = "a@example.org"\nclient-id = "x"\nclient-secret = "env:X"\n{account}\n'
    if not missing:
        load(written(text), {})
        return
    assert [problem.key for problem in problems(written(text))] == [f"accounts.a.{key}" for key in missing]


def test_plain_http_and_no_tls_are_for_loopback_only(written: Write) -> None:
    text = COMPLETE.replace("https://login.example.org", "http://127.0.0.1:8080")
    text = text.replace("mail.example.org:587", "[::1]:2525") + 'tls = "none-loopback"\n'
    assert load(written(text), {}).account("alerts").tls == "none-loopback"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ('[accounts.a]\naddress = alerts@example.org\n', 2, "in quotes"),
        ("[accounts.a]\n[accounts.a]\n", 2, "once"),
        ("[relay]\nsize = 1\nsize = 2\n", 3, "once"),
        ('[accounts.a]\naddress = "x', 2, "in quotes"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_toml_is_told_by_line(written: Write, text: str, line: int, hint: str) -> None:
    problem = only(written(text))
    assert problem.line == line
    assert "not TOML" in problem.message
    assert hint in problem.hint


def test_a_file_that_is_no_text_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_bytes(b"# one\n# t\xfco\n")
    path.chmod(0o600)
    assert only(path).line == 2


def test_the_byte_order_mark_of_an_editor_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_bytes(b"\xef\xbb\xbf" + COMPLETE.encode())
    path.chmod(0o600)
    assert list(load(path, {}).settings.accounts) == ["alerts"]


def test_asking_for_an_account_that_is_not_there_names_the_others(written: Write) -> None:
    configuration = load(written(COMPLETE), {})
    with pytest.raises(ConfigError) as caught:
        configuration.account("alert")
    assert caught.value.hint == "Did you mean alerts?"


def test_relative_paths_start_at_the_folder_of_the_file(
    written: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(COMPLETE + 'ca-file = "ca.pem"\ntls-certificate = "tls/ours.pem"\n')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # as a service, whose folder is /
    smarthost = Assembly.load(path, environ={}).account("alerts").smarthost
    assert smarthost.ca_file == str(path.parent / "ca.pem")
    assert smarthost.certificate is not None
    assert smarthost.certificate.file == str(path.parent / "tls" / "ours.pem")


def test_an_error_found_later_still_knows_its_line(written: Write) -> None:
    error = load(written(COMPLETE), {}).error("accounts.alerts.client-secret", "is empty", hint="Set it.")
    assert error.line == 9
    assert error.key == "accounts.alerts.client-secret"


def test_a_table_that_nothing_reads_is_told(written: Write) -> None:
    (warning,) = load(written(COMPLETE + '[vault]\nkey = "file:key"\n'), {}).warnings()
    assert (warning.key, "with a spool on PostgreSQL only" in warning.message) == ("vault", True)
    assert warning.line == len(COMPLETE.splitlines()) + 1


def test_a_file_that_is_not_there_yet_is_told_and_no_error(written: Write) -> None:
    path = written(COMPLETE + 'ca-file = "ca.pem"\n')
    (warning,) = load(path, {}).warnings()
    assert (warning.key, warning.line) == ("accounts.alerts.ca-file", len(path.read_text().splitlines()))
    assert str(path.parent / "ca.pem") in warning.message
    (path.parent / "ca.pem").mkdir()
    assert "which is a folder" in load(path, {}).warnings()[0].message
    (path.parent / "ca.pem").rmdir()
    (path.parent / "ca.pem").touch()
    assert load(path, {}).warnings() == ()


ENTRA = """[accounts.a]
provider = "{provider}"
address = "a@example.org"
client-id = "{client}"
client-secret = "env:X"
password = "env:P"
tenant = "{tenant}"
grant = "{grant}"
"""
GUID = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("provider", ["microsoft", "microsoft-hve"])
@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
@pytest.mark.parametrize("grant", ["client-credentials", "workload-identity", "password"])
def test_a_tenant_of_many_organisations_is_none_for_what_needs_ones_own(
    written: Write, provider: str, tenant: str, grant: str
) -> None:
    text = ENTRA.format(provider=provider, client=GUID, tenant=tenant, grant=grant)
    if grant == "password":
        text = text.replace('client-secret = "env:X"\n', "")
    else:
        text = text.replace('password = "env:P"\n', 'assertion = "file:/token"\n')
    path = written(text)
    if (grant, tenant) == ("password", "organizations"):
        load(path, {})
        return
    (problem,) = [each for each in problems(path) if each.key == "accounts.a.tenant"]
    assert problem.line == 6 + (grant != "password")
    assert f"{tenant!r}" in problem.message
    assert grant in problem.message
    assert problem.hint == "Write the organisation's domain or its directory id."
    # It is not asked for where the endpoint is somebody else's.
    load(written(text + 'token-url = "https://login.example.org/token"\nscopes = ["x"]\n'), {})


@pytest.mark.parametrize(
    ("provider", "client", "odd"),
    [
        ("microsoft", GUID, False),
        ("microsoft", "Alerts", True),
        ("microsoft", f"{GUID} ", True),
        ("outlook", "Alerts", True),
        ("google", "123456789012-x1y2.apps.googleusercontent.com", False),
        ("google", GUID, True),
    ],
)
def test_an_id_that_no_application_of_the_provider_has_is_questioned(
    written: Write, provider: str, client: str, odd: bool
) -> None:
    text = (
        f'[accounts.a]\nprovider = "{provider}"\naddress = "a@example.org"\nclient-id = "{client}"\n'
        'client-secret = "env:X"\nrefresh-token = "env:R"\ngrant = "refresh-token"\n'
    )
    told = [each for each in load(written(text), {}).warnings() if each.key == "accounts.a.client-id"]
    assert len(told) == odd
    assert all((each.line, "application's id" in each.hint) == (4, True) for each in told)
    elsewhere = load(written(text + 'token-url = "https://login.example.org/token"\n'), {})
    assert not [each for each in elsewhere.warnings() if each.key == "accounts.a.client-id"]
