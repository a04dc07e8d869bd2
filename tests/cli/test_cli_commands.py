"""config, secret and providers, as people use them."""

from __future__ import annotations

import json

import pytest

from cli.conftest import Home
from support.configuration import COMPLETE

NAME = "accounts.alerts.maximum-token-lifetime"


def test_a_right_configuration_is_told_so(home: Home) -> None:
    ran = home.run("config", "validate")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{home.config} is right: 1 account.\n"
    told = json.loads(home.run("config", "validate", "--json").out)
    assert told == {"valid": True, "file": str(home.config), "accounts": ["alerts"], "warnings": []}


def test_settings_for_tests_are_warned_about(home: Home) -> None:
    home.write(
        COMPLETE.replace("client-credentials", "static") + 'token = "env:T"\nmaximum-token-lifetime = 1\n'
    )
    ran = home.run("config", "validate")
    assert ran.code == 0
    assert f"warning: {home.config}:6: accounts.alerts.grant: static is for tests" in ran.err
    assert f"warning: {home.config}:11: {NAME}" in ran.err


def test_a_key_is_set_read_and_taken_away(home: Home) -> None:
    assert home.run("config", "set", NAME, "1 s").code == 0
    assert home.config.read_text() == COMPLETE + 'maximum-token-lifetime = "1 s"\n'
    assert home.run("config", "get", NAME).out == "1 s\n"
    assert home.run("config", "unset", NAME).code == 0
    assert home.config.read_text() == COMPLETE
    assert home.run("config", "get", NAME).code == 78


def test_a_wrong_value_is_not_written(home: Home) -> None:
    ran = home.run("config", "set", "accounts.alerts.tls", "startls")
    assert ran.code == 78
    assert "Did you mean starttls?" in ran.err
    assert home.config.read_text() == COMPLETE


def test_defaults_can_be_asked_for(home: Home) -> None:
    assert home.run("config", "get", "accounts.alerts.sender").out == "force\n"
    told = json.loads(home.run("config", "get", "accounts.alerts.servers", "--json").out)
    assert "mail.example.org:587" in told["value"]
    assert 'sender = "force"' in home.run("config", "show", "--all", "accounts.alerts").out


def test_what_is_shown_is_what_holds(home: Home) -> None:
    home.write(COMPLETE + '[relay]\nspool = "postgresql://me:canary@db/x"\n')
    ran = home.run("config", "show", environ={"POSTBEARER_ACCOUNTS__ALERTS__CLIENT_ID": "other"})
    assert 'client-id = "other"' in ran.out
    assert "comes from POSTBEARER_ACCOUNTS__ALERTS__CLIENT_ID" in ran.out
    assert "canary" not in ran.out
    shown = json.loads(home.run("config", "show", "--json").out)
    assert shown["accounts"]["alerts"]["client-id"] == "shop"


def test_the_schema_is_json(home: Home) -> None:
    assert json.loads(home.run("config", "schema").out)["title"] == "Configuration of postbearer"


def test_a_named_configuration_goes_before_all_others(home: Home) -> None:
    other = home.folder / "other.toml"
    other.write_text(COMPLETE.replace("shop", "other"))
    other.chmod(0o600)
    name = "accounts.alerts.client-id"
    assert home.run("config", "get", name, "--config", str(other)).out == "other\n"
    assert home.run("--config", str(other), "config", "get", name).out == "other\n"
    assert home.run("config", "get", name, environ={"POSTBEARER_CONFIG": str(other)}).out == "other\n"


def test_a_secret_is_sealed_and_opens_again(home: Home) -> None:
    ran = home.run("secret", "seal", stdin="canary-secret\n")
    assert ran.code == 0
    assert ran.out.startswith("sealed:v1.")
    assert "canary" not in ran.out + ran.err
    reference = ran.out.strip()
    tested = home.run("secret", "test", reference)
    assert tested.code == 0
    assert "can be read" in tested.out
    rotated = home.run("secret", "rotate-key", "--json")
    assert json.loads(rotated.out)["resealed"] == []
    assert home.run("secret", "test", reference).code == 0
    home.write(COMPLETE.replace("env:ALERTS_SECRET", reference))
    assert home.run("config", "validate").code == 0
    assert home.run("secret", "test", "accounts.alerts.client-secret").code == 0


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("env:GOOD", 0),
        ("env:EMPTY", 78),
        ("env:MISSING", 78),
        ("file:missing", 78),
        ("command:false", 78),
        ("sealed:v1.x.y", 78),
        ("canary-literal:xyz", 78),
        ("accounts.alerts.password", 78),
    ],
)
def test_a_reference_is_tested_without_showing_the_secret(home: Home, reference: str, code: int) -> None:
    ran = home.run("secret", "test", reference, environ={"GOOD": "canary-value", "EMPTY": ""})
    assert ran.code == code
    assert "canary-value" not in ran.out + ran.err
    assert (ran.err == "") is (code == 0)


def test_a_second_line_is_told_before_a_server_refuses_it(home: Home) -> None:
    home.write(COMPLETE.replace("env:ALERTS_SECRET", "command:printf 'canary-1\\\\nuser: me\\\\n'"))
    refused = home.run("secret", "test", "accounts.alerts.client-secret")
    assert refused.code == 78
    assert "client-secret has more than one line." in refused.err
    told = home.run("secret", "test", "command:printf 'canary-1\\nuser: me\\n'")
    assert told.code == 0
    assert "note: It has 2 lines." in told.err
    assert "canary" not in (refused.err + told.err).replace("command:printf 'canary-1", "")


def test_a_reference_to_a_named_store_is_tested_too(home: Home) -> None:
    (home.folder / "secret").write_text("canary-value\n")
    named = home.config.read_text().replace('"env:ALERTS_SECRET"', f'"safe:{home.folder / "secret"}"')
    home.write(named + '\n[secret-stores.safe]\ntype = "file"\ncache = "5m"\n')
    for reference in ("accounts.alerts.client-secret", f"safe:{home.folder / 'secret'}"):
        ran = home.run("secret", "test", reference)
        assert ran.code == 0, ran.err
        assert "can be read" in ran.out


@pytest.mark.parametrize("name", ["seal", "hash-password"])
def test_no_secret_is_64(home: Home, name: str) -> None:
    ran = home.run("secret", name)
    assert ran.code == 64
    assert f"Pipe it in: pass show mail | postbearer secret {name}" in ran.err


@pytest.mark.parametrize("name", ["seal", "hash-password"])
def test_a_secret_that_is_no_text_is_64(home: Home, name: str) -> None:
    ran = home.run("secret", name, stdin=b"\xff\xfe")
    assert (ran.code, "no text in UTF-8" in ran.err) == (64, True)


def test_a_change_after_which_the_relay_would_not_start_is_warned_of(home: Home) -> None:
    second = COMPLETE.replace("[accounts.alerts]", "[accounts.second]")
    home.write(COMPLETE + second + '[relay]\naccount = "second"\n')
    assert home.run("config", "set", NAME, "1 s").err.count("\n") == 1
    ran = home.run("config", "unset", "relay.account")
    assert ran.code == 0
    assert "warning: The relay would not start: relay.account: is missing" in ran.err
    assert "→ Name the account mail leaves from: alerts, second." in ran.err


def test_providers_say_what_is_needed(home: Home) -> None:
    listed = home.run("providers").out
    assert "microsoft" in listed
    assert "smtp" in listed
    shown = home.run("providers", "microsoft").out
    assert "smtp.office365.com:587" in shown
    assert "SMTP.SendAsApp" in shown
    for name in ("google", "microsoft"):  # the second has clouds, and so an address made of words
        told = json.loads(home.run("providers", name, "--json").out)
        assert told["name"] == name
        assert "{authority}" not in told["token_url"]
    unknown = home.run("providers", "mcrosoft")
    assert unknown.code == 78
    assert "microsoft" in unknown.err


def test_providers_of_ones_own_are_listed_with_their_file(home: Home) -> None:
    file = home.config.parent / "providers" / "example.toml"
    file.parent.mkdir()
    file.write_text('name = "example"\ntitle = "Example Mail"\nservers = ["mail.example.org:465"]\n')
    assert f"Example Mail ({file})" in home.run("providers").out
    listed = {
        each["name"]: each["file"] for each in json.loads(home.run("providers", "--json").out)["providers"]
    }
    assert listed["example"] == str(file)
    assert listed["google"] == ""
    assert home.run("providers", "example").out.startswith("Example Mail\n")
    file.write_text('name = "example"\ntitel = "Example Mail"\n')
    broken = home.run("providers")
    assert broken.code == 78
    assert f"{file}:2: titel" in broken.err
