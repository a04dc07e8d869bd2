"""A directory server's batch file: which accounts it means, and what cannot be carried over."""

from __future__ import annotations

import tomllib

import pytest

from postbearer.errors import ConfigError
from support.importing import accounts, dsconfig, noted, told

SECRET = (
    'dsconfig create-passphrase-provider --provider-name "Client Secret" --type environment-variable '
    "--set enabled:true --set environment-variable:CLIENT_SECRET\n"
)
METHOD = """\
dsconfig create-http-authorization-method \\
  --method-name "Bearer Token" --type client-credentials-bearer-token --set enabled:true \\
  --set oauth-server-token-endpoint-url:https://login.example.org/token \\
  --set oauth-client-id:directory \\
  --set "oauth-client-secret-passphrase-provider:Client Secret" \\
  --set "requested-scope:smtp.send mail.more" \\
  --set "maximum-token-lifetime:1 h"
"""


def server(
    name: str = "Mail",
    host: str = "mail.example.org",
    port: int = 587,
    user: str = "alerts@example.org",
    more: str = '--set "token-acquisition-method:Bearer Token"',
    security: str = "starttls",
) -> str:
    login = f"--set user-name:{user} " if user else ""
    return (
        f'dsconfig create-external-server --server-name "{name}" --type smtp --set server-host-name:{host} '
        f"--set server-port:{port} --set smtp-security:{security} {login}{more}\n"
    )


def order(*names: str) -> str:
    return "dsconfig set-global-configuration-prop " + " ".join(
        f'--set "smtp-server:{each}"' for each in names
    )


def test_one_server_is_one_account() -> None:
    imported = dsconfig(SECRET + METHOD + server(more='--set "token-acquisition-method:bearer  token"'))
    assert accounts(imported) == {
        "mail": {
            "provider": "smtp",
            "address": "alerts@example.org",
            "servers": ["mail.example.org:587"],
            "tls": "starttls",
            "grant": "client-credentials",
            "token-url": "https://login.example.org/token",
            "client-id": "directory",
            "client-secret": "env:CLIENT_SECRET",
            "scopes": ["smtp.send", "mail.more"],
            "maximum-token-lifetime": "1 h",
        }
    }
    assert told(imported) == []
    assert list(imported.to_set) == ["CLIENT_SECRET"]
    assert '[relay]\naccount = "mail"\n' in imported.text


def test_servers_with_one_login_are_one_account_with_servers_in_order() -> None:
    times = '--set "token-acquisition-method:Bearer Token" --set "smtp-timeout:10 s"'
    batch = (
        SECRET + METHOD + server("B", "b.example.org", more=times) + server("A", "a.example.org", more=times)
    )
    (account,) = accounts(dsconfig(batch + order("A", "B"))).values()
    assert account["servers"] == ["a.example.org:587", "b.example.org:587"]
    assert account["timeout"] == "20 s"  # 10 for each


def test_servers_with_different_logins_are_accounts_that_fall_back_on_each_other() -> None:
    batch = (
        SECRET
        + METHOD
        + server("First", "a.example.org")
        + server("Second", "b.example.org", user="other@example.org")
        + server("Third", "c.example.org", 465, user="", more="", security="ssl")
        + order("First", "Second", "Third")
    )
    found = accounts(dsconfig(batch))
    assert [each.get("fallback") for each in found.values()] == ["second", "third", None]
    assert found["third"] == {
        "provider": "smtp",
        "address": "alerts@example.org",
        "servers": ["c.example.org:465"],
        "tls": "implicit",
        "authentication": "none",
    }


def test_a_server_between_others_keeps_its_place() -> None:
    batch = (
        SECRET
        + METHOD
        + server("First", "a.example.org")
        + server("Second", "b.example.org", user="other@example.org")
        + server("Third", "c.example.org")
        + order("First", "Second", "Third")
    )
    assert list(accounts(dsconfig(batch))) == ["first", "second", "third"]


def test_what_the_preset_of_a_known_provider_says_is_left_to_it() -> None:
    url = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    batch = (
        SECRET + METHOD.replace("https://login.example.org/token", url) + server(host="smtp.office365.com")
    )
    account = accounts(dsconfig(batch))["mail"]
    assert account["provider"] == "microsoft"
    assert account["tenant"] == "contoso.example"
    assert not account.keys() & {"servers", "tls", "token-url"}


PROVIDERS = [
    ("--type file-based --set password-file:/run/pin", "file:/run/pin"),
    ("--type file-based --set password-file:config/pin", "file:/opt/ds/config/pin"),
    (
        "--type vault --set vault-secret-path:mail/oauth --set vault-secret-field-name:value",
        "hashicorp-vault:mail/oauth#value",
    ),
    (
        "--type amazon-secrets-manager --set secret-id:mail --set secret-field-name:value",
        "aws-secrets-manager:mail#value",
    ),
    (
        "--type azure-key-vault --set key-vault-uri:https://safe.vault.azure.net --set secret-name:mail",
        "azure-key-vault:safe/mail",
    ),
    ("--type conjur --set conjur-secret-relative-path:mail/oauth", "conjur:mail/oauth"),
    ("--type obscured-value --set obscured-value:canary-obscured", "env:CLIENT_SECRET"),
    ("--type third-party --set extension-class:org.example.Secret", "env:CLIENT_SECRET"),
]


@pytest.mark.parametrize(("options", "reference"), PROVIDERS, ids=[each[1] for each in PROVIDERS])
def test_every_kind_of_passphrase_provider(options: str, reference: str) -> None:
    provider = f'create-passphrase-provider --provider-name "Client Secret" --set enabled:true {options}\n'
    imported = dsconfig(provider + METHOD + server(), root="/opt/ds")
    assert accounts(imported)["mail"]["client-secret"] == reference
    assert "canary" not in imported.text
    assert (list(imported.to_set) == ["CLIENT_SECRET"]) == (reference == "env:CLIENT_SECRET")


STORES = [
    (
        "--type vault --set vault-external-server:Safe --set vault-secret-path:secret/data/mail "
        "--set vault-secret-field-name:value --set 'max-cache-duration:5 m'",
        "create-external-server --server-name Safe --type vault "
        "--set vault-server-base-uri:https://vault.example.org --set vault-authentication-method:Role\n"
        "create-vault-authentication-method --method-name Role --type app-role --set vault-role-id:directory "
        "--set vault-secret-id:canary-secret-id",
        {"type": "hashicorp-vault", "address": "https://vault.example.org", "auth": "approle",
         "role-id": "directory", "secret-id": "env:ROLE_SECRET_ID", "cache": "5 m"},
        "secret/data/mail#value",
    ),
    (
        "--type vault --set vault-external-server:Safe --set vault-secret-path:mail",
        "create-external-server --server-name Safe --type vault "
        "--set vault-server-base-uri:https://vault.example.org --set vault-authentication-method:Token\n"
        "create-vault-authentication-method --method-name Token --type static-token "
        "--set vault-access-token:canary-token",
        {"type": "hashicorp-vault", "address": "https://vault.example.org", "token": "env:TOKEN_TOKEN"},
        "mail",
    ),
    (
        "--type amazon-secrets-manager --set aws-external-server:Safe --set secret-id:mail",
        "create-external-server --server-name Safe --type amazon-aws --set aws-region-name:eu-central-1 "
        "--set aws-access-key-id:AKIA --set aws-secret-access-key:canary-key",
        {"type": "aws-secrets-manager", "region": "eu-central-1", "access-key-id": "AKIA",
         "secret-access-key": "env:SAFE_SECRET_ACCESS_KEY"},
        "mail",
    ),
    (
        "--type azure-key-vault --set key-vault-uri:https://vault.example.net "
        "--set azure-authentication-method:Safe --set secret-name:mail",
        "create-azure-authentication-method --method-name Safe --type client-secret "
        "--set tenant-id:example.org --set client-id:app --set client-secret:canary-secret",
        {"type": "azure-key-vault", "tenant": "example.org", "client-id": "app",
         "client-secret": "env:SAFE_CLIENT_SECRET", "endpoint": "https://vault.example.net"},
        "vault/mail",
    ),
    (
        "--type conjur --set conjur-external-server:Safe --set conjur-secret-relative-path:mail",
        "create-external-server --server-name Safe --type conjur --set conjur-account-name:example "
        "--set conjur-server-base-uri:https://conjur.example.org --set conjur-authentication-method:Key\n"
        "create-conjur-authentication-method --method-name Key --type api-key --set username:host/mail "
        "--set api-key:canary-api-key",
        {"type": "conjur", "address": "https://conjur.example.org", "account": "example",
         "login": "host/mail", "api-key": "env:KEY_API_KEY"},
        "mail",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "there", "table", "rest"), STORES, ids=[each[0][:30] for each in STORES])
def test_a_secret_store_whose_server_is_in_the_file_has_a_table(
    options: str, there: str, table: dict[str, str], rest: str
) -> None:
    provider = f'create-passphrase-provider --provider-name "Client Secret" --set enabled:true {options}\n'
    imported = dsconfig(f"{there}\n{provider}{METHOD}{server()}")
    assert tomllib.loads(imported.text)["secret-stores"] == {"safe": table}
    assert accounts(imported)["mail"]["client-secret"] == f"safe:{rest}"
    assert told(imported) == []
    assert set(imported.to_set) == {each[4:] for each in table.values() if each.startswith("env:")}
    assert "canary" not in imported.text


def vault(*servers: str) -> str:
    """A secret in Vault, and servers of that name."""
    provider = (
        'create-passphrase-provider --provider-name "Client Secret" --set enabled:true --type vault '
        "--set vault-external-server:Safe --set vault-secret-path:mail --set 'max-cache-duration:5 m'"
    )
    return "\n".join((provider, *servers, METHOD))


def test_a_secret_store_whose_server_is_not_in_the_file_is_asked_by_its_variables() -> None:
    imported = dsconfig(vault() + server())
    assert accounts(imported)["mail"]["client-secret"] == "safe:mail"
    assert told(imported) == ["1: Client Secret needs Safe, which this file does not create."]
    assert "VAULT_ADDR" in imported.left[0].hint
    assert "secret-stores.safe.address" in noted(imported)


def test_a_secret_store_that_would_be_asked_in_the_clear_is_not_carried_over() -> None:
    address = "http://vault.example.org"
    there = f"create-external-server --server-name Safe --type vault --set vault-server-base-uri:{address}"
    imported = dsconfig(vault(there) + server())
    assert accounts(imported)["mail"]["client-secret"] == "hashicorp-vault:mail"
    assert told(imported) == [
        "1: The store of Client Secret cannot be used as the file says: address, cache."
    ]


def test_a_key_vault_that_is_elsewhere_has_a_table_with_its_address() -> None:
    provider = (
        'create-passphrase-provider --provider-name "Client Secret" --set enabled:true '
        "--type azure-key-vault --set key-vault-uri:https://vault.example.net "
        "--set azure-authentication-method:MI --set secret-name:mail\n"
    )
    imported = dsconfig(provider + METHOD + server())
    assert accounts(imported)["mail"]["client-secret"] == "mi:vault/mail"
    assert tomllib.loads(imported.text)["secret-stores"]["mi"]["endpoint"] == "https://vault.example.net"
    assert told(imported) == ["1: Client Secret needs MI, which this file does not create."]


def test_a_secret_that_may_be_kept_for_a_while_has_a_store_of_its_own() -> None:
    provider = (
        'create-passphrase-provider --provider-name "Client Secret" --type file-based --set enabled:true '
        '--set password-file:/run/pin --set "max-cache-duration:10 m"\n'
    )
    imported = dsconfig(provider + METHOD + server())
    assert accounts(imported)["mail"]["client-secret"] == "client-secret:/run/pin"
    assert '[secret-stores.client-secret]\ntype  = "file"\ncache = "10 m"\n' in imported.text


def test_a_static_token_is_warned_about() -> None:
    batch = (
        SECRET
        + "dsconfig create-http-authorization-method --method-name Lab --type anything --set enabled:true "
        + '--set "oauth-token-passphrase-provider:Client Secret"\n'
        + server(more="--set token-acquisition-method:Lab")
    )
    imported = dsconfig(batch)
    assert accounts(imported)["mail"]["grant"] == "static"
    assert accounts(imported)["mail"]["token"] == "env:CLIENT_SECRET"
    assert "static is for tests" in noted(imported)


def test_changes_after_the_creation_hold() -> None:
    batch = (
        SECRET
        + METHOD
        + server()
        + "dsconfig set-external-server-prop --server-name mail --set server-port:465 "
        + "--set smtp-security:ssl\n"
        + "dsconfig set-http-authorization-method-prop --method-name 'Bearer Token' "
        + "--reset maximum-token-lifetime --add requested-scope:third\n"
    )
    account = accounts(dsconfig(batch))["mail"]
    assert account["servers"] == ["mail.example.org:465"]
    assert account["tls"] == "implicit"
    assert account["scopes"] == ["smtp.send", "mail.more", "third"]
    assert "maximum-token-lifetime" not in account


@pytest.mark.parametrize(
    "before",
    [
        "dsconfig ",
        "bin/dsconfig ",
        "/opt/ds/bin/dsconfig ",
        "",
        "dsconfig --no-prompt --port 636 -w canary-pin ",
    ],
)
def test_how_the_command_may_begin(before: str) -> None:
    imported = dsconfig((SECRET + METHOD + server()).replace("dsconfig ", before))
    assert list(accounts(imported)) == ["mail"]
    assert told(imported) == []
    assert "canary" not in imported.text


LEFT = [
    (
        "dsconfig create-alert-handler --type smtp --handler-name X",
        "1: The command create-alert-handler is not",
    ),
    (
        "dsconfig set-external-server-prop --server-name Else --set server-port:1",
        "1: The external server Else is",
    ),
    (
        "dsconfig create-passphrase-provider --type file-based",
        "1: A command does not name its passphrase provider",
    ),
    (order("Mail", "Gone"), "1: Gone is named as a mail server, and this file does not create it"),
    (SECRET, "2: Client Secret was created before"),
]


@pytest.mark.parametrize(("line", "expected"), LEFT, ids=[each[1] for each in LEFT])
def test_what_is_not_carried_over_is_named_with_its_line(line: str, expected: str) -> None:
    imported = dsconfig(line.rstrip("\n") + "\n" + SECRET + METHOD + server())
    assert [each for each in told(imported) if each.startswith(expected)], told(imported)


PROPERTIES = [
    ("smtp-security:none", "Mail has no TLS, and a token never leaves without"),
    (
        "smtp-connection-properties:mail.smtp.ehlo=false",
        "The property smtp-connection-properties of Mail was not",
    ),
    ("smtp-timeout:soon", "This is not a duration"),
]


@pytest.mark.parametrize(("setting", "expected"), PROPERTIES, ids=[each[0] for each in PROPERTIES])
def test_properties_that_have_no_equal_are_named(setting: str, expected: str) -> None:
    change = f"dsconfig set-external-server-prop --server-name Mail --set {setting}\n"
    imported = dsconfig(SECRET + METHOD + server() + change)
    assert [each for each in told(imported) if expected in each], told(imported)
    assert accounts(imported)["mail"]["tls"] == "starttls"


REFUSED = [
    ("", "There is no account in this file"),
    (server(), "the authorization method Bearer Token is not created"),
    (METHOD.replace("enabled:true", "enabled:false") + SECRET + server(), "Bearer Token is not enabled"),
    (SECRET + METHOD + server(user="alerts"), "is no mail address"),
    (SECRET + METHOD + server(port=99999), "has the port 99999"),
    ('dsconfig create-external-server --server-name "Mail\n', "A quote is not closed"),
]


@pytest.mark.parametrize(("batch", "expected"), REFUSED, ids=[each[1] for each in REFUSED])
def test_a_file_without_one_usable_account_is_refused(batch: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dsconfig(batch)
    assert expected.casefold() in str(caught.value).casefold()
    assert "batch.dsconfig" in str(caught.value)


def test_an_account_that_cannot_be_used_leaves_its_place_in_the_chain() -> None:
    batch = (
        SECRET
        + METHOD
        + server("First", "a.example.org")
        + server("Second", "b.example.org", user="nobody")
        + server("Third", "c.example.org", user="third@example.org")
        + order("First", "Second", "Third")
    )
    imported = dsconfig(batch)
    assert accounts(imported)["first"]["fallback"] == "third"
    assert any("Second is left out: address" in each for each in told(imported))


def test_nothing_in_a_name_gets_out_of_its_comment_or_its_text() -> None:
    evil = server(name="Mail\x1b[31m\u2028[relay]", user="'a\"b@example.org'")
    imported = dsconfig(SECRET + METHOD + evil + server("Good", user="good@example.org"))
    assert imported.text.isprintable() or not [
        char for char in imported.text if not char.isprintable() and char != "\n"
    ]
    assert accounts(imported)["good"]["address"] == "good@example.org"
