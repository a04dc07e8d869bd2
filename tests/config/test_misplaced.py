"""Slips with tables, nesting and files: one error each, with what to write instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postbearer.config import find, load, set_key
from postbearer.config.loading import parse
from postbearer.errors import ConfigError
from postbearer.providers import loading as providers

KEYS = """\
provider = "smtp"
servers = ["mail.example.org:587"]
address = "a@example.org"
grant = "static"
token = "env:T"
"""
NESTED = {
    "lists": "x = " + "[" * 5000 + "]" * 5000,
    "lists that are not closed": "x = " + "[" * 5000,
    "tables": "x = " + "{a = " * 3000 + "1" + "}" * 3000,
    "a dotted key": ".".join(["a"] * 5000) + " = 1",
    "a dotted table": "[" + ".".join(["a"] * 5000) + "]",
    "a few": "x = " + "[" * 100 + "]" * 100,
    "settings": f"[accounts.a]\n{KEYS}grant-settings.{'.'.join(['a'] * 3000)} = 1\n",
}


def only_problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "postbearer.toml")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"),
    [
        (f"[accounts]\n{KEYS}", 1, "accounts", "belong below a name", "Write [accounts.NAME]"),
        (f"[[accounts]]\n{KEYS}", 1, "accounts", "must be a table", "Write [accounts.NAME]"),
        ("accounts = 3\n", 1, "accounts", "must be a table", "Write [accounts.NAME]"),
        ('[secret-stores]\ntype = "conjur"\n', 1, "secret-stores", "below a name", "[secret-stores.NAME]"),
        (f"[accounts.shop.eu]\n{KEYS}", 1, "accounts.shop", "called shop.eu", "write [accounts.shop-eu]"),
        (f'[accounts."shop.eu"]\n{KEYS}', 1, "accounts.shop.eu", "cannot be 'shop.eu'", "lower case"),
        (f'[accounts.a]\n{KEYS}limits = "30"\n', 7, "accounts.a.limits", "must be a table", "limits = {"),
        ('[relay.clients]\nname = "x"\n', 1, "relay.clients", "must be a list", "Write [[relay.clients]]"),
        (f"[accounts.a]\n{KEYS}[accounts.a]\n{KEYS}", 7, "", "Cannot declare [accounts.a] twice", "once"),
        (f"[accounts.a]\n{KEYS.replace('a@', '')}", 4, "accounts.a.address", "is no mail address: the", "@"),
    ],
)
def test_a_slip_is_told_once_with_the_cure(text: str, line: int, key: str, message: str, hint: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.key) == (line, key)
    assert message in problem.message
    assert hint in problem.hint
    assert "('" not in problem.message


@pytest.mark.parametrize("name", NESTED)
def test_what_is_nested_too_deeply_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    problem = only_problem(NESTED[name])
    assert problem.file == "postbearer.toml"
    file = tmp_path / "postbearer.toml"
    file.write_text(NESTED[name])
    file.chmod(0o600)
    with pytest.raises(ConfigError):
        load(file)
    with pytest.raises(ConfigError):
        set_key(str(file), "accounts.a.timeout", "30s", {})


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000])
def test_a_number_with_too_many_digits_is_a_configuration_error(tmp_path: Path, number: str) -> None:
    assert "too many digits" in only_problem(f"[relay]\nsize = {number}").message
    file = tmp_path / "postbearer.toml"
    file.write_text(f"[accounts.a]\n{KEYS}")
    file.chmod(0o600)
    with pytest.raises(ConfigError):
        set_key(str(file), "relay.size", number, {})
    for name in ("RELAY__SIZE", "RELAY__RETRY__FIRST", "ACCOUNTS__A__TIMEOUT"):
        for given in (number, number[:400]):  # the shorter one is an integer, and too large for a float
            with pytest.raises(ConfigError):
                load(file, {f"POSTBEARER_{name}": given})
    with pytest.raises(ConfigError, match="too many digits"):
        providers.parse(f"size = {number}", file="own.toml")


def test_a_value_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "postbearer.toml"
    file.write_text(f"[accounts.a]\n{KEYS}")
    file.chmod(0o600)
    for value in ("[" * 5000 + "]" * 5000, "{a=" * 3000 + "1" + "}" * 3000):
        with pytest.raises(ConfigError):
            set_key(str(file), "accounts.a.scopes", value, {})
        with pytest.raises(ConfigError):
            load(file, {"POSTBEARER_ACCOUNTS__A__SCOPES": value})
    assert file.read_text() == f"[accounts.a]\n{KEYS}"


def test_a_folder_that_cannot_be_entered_is_not_taken_for_an_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.lstat

    def denied(path: str, *more: object, **options: object) -> os.stat_result:
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "lstat", denied)
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert find(None, environ) == str(tmp_path / "postbearer" / "postbearer.toml")
    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied") as caught:
        load(None, environ)
    assert "folders above" in caught.value.hint


@pytest.mark.parametrize(("error", "said"), [(13, "cannot be read now: Permission"), (2, "not there now")])
def test_a_file_that_is_there_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, said: str
) -> None:
    text = f'[accounts.a]\n{KEYS}ca-file = "/etc/mail/ca.pem"\n'
    configuration = parse(text.encode(), str(tmp_path / "postbearer.toml"))

    def fails(*arguments: object, **options: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("builtins.open", fails)
    told = [each for each in configuration.warnings() if each.key == "accounts.a.ca-file"]
    assert said in told[0].message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[accounts.a]\nprovider = “google”\n", "straight"),
        ('{"accounts": {"a": {}}}', "JSON"),
        ("accounts:\n  a:\n    provider: google\n", "YAML"),
        ("---\naccounts:\n  a: {}\n", "YAML"),
        ("[accounts.a]\nprovider = google\n", "Texts stand in quotes"),
    ],
)
def test_what_looks_like_something_else_is_told(text: str, hint: str) -> None:
    problem = only_problem(text)
    assert problem.message.startswith("This is not TOML")
    assert hint in problem.hint
