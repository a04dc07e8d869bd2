"""Bad input ends with the exit code that scripts rely on and a text that says where, what and what next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Edit, Home

SEND = ("send", "--account", "alerts", "--to", "you@example.org")
CANARY = "canary-9f8e7d6c"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "fix"),
    [
        ("client-id ", "clientid ", 8, "accounts.alerts.clientid", "Did you mean client-id?"),
        ("[accounts.", "[acounts.", 2, "acounts", "Did you mean accounts?"),
        ('"shop" ', "12 ", 8, "accounts.alerts.client-id", "Put it in quotes."),
        ("env:ALERTS_SECRET", CANARY, 9, "accounts.alerts.client-secret", "env:NAME"),
        ('client-secret = "env:ALERTS_SECRET"', "", 2, "accounts.alerts.client-secret", "Add client-secret"),
        ('"smtp"', '"microsft"', 3, "accounts.alerts.provider", "Did you mean microsoft?"),
        ("client-credentials", "client_credential", 6, "accounts.alerts.grant", "client-credentials?"),
        ("alerts@example.org", "alerts", 5, "accounts.alerts.address", "user@example.org"),
        ("https://", "http://", 7, "accounts.alerts.token-url", "loopback only"),
        ("[accounts.alerts]", "[accounts.Alerts]", 2, "accounts.Alerts", "lower case"),
        ("# as registered", '\ntls = "none-loopback"', 9, "accounts.alerts.tls", "starttls or implicit"),
        ("# as registered", '\ntimeout = "a while"', 9, "accounts.alerts.timeout", "1h 30m"),
        ("# as registered", '\nfallback = "no"', 9, "accounts.alerts.fallback", "alerts"),
        ("# as registered", "\nclient-id = 5", 9, "", "Each key"),
    ],
)
@pytest.mark.parametrize("command", [("config", "validate"), (*SEND, "--text", "x"), ("token", "alerts")])
def test_a_wrong_configuration_is_78(
    home: Home, edited: Edit, command: tuple[str, ...], old: str, new: str, line: int, key: str, fix: str
) -> None:
    path = edited(old, new)
    ran = home.run(*command)
    assert ran.code == 78
    assert ran.out == ""
    assert f"error: {path}:{line}: {key}" in ran.err
    assert fix in ran.err
    assert CANARY not in ran.err
    assert "Traceback" not in ran.err


def test_every_mistake_is_told_and_as_json_too(home: Home, edited: Edit) -> None:
    path = edited('address = "alerts@example.org"', 'adress = "alerts@example.org"\ntls = "x"')
    ran = home.run("config", "validate")
    assert ran.code == 78
    assert [row.split(": ")[2] for row in ran.err.splitlines() if row.startswith("error")] == [
        "accounts.alerts.adress",
        "accounts.alerts.tls",
    ]
    told = json.loads(home.run("config", "validate", "--json").out)["error"]
    assert told["exit"] == 78
    assert [(each["file"], each["line"]) for each in told["problems"]] == [(str(path), 5), (str(path), 6)]


def test_a_missing_secret_is_78(home: Home) -> None:
    for command in (("token", "alerts"), ("secret", "test", "accounts.alerts.client-secret")):
        ran = home.run(*command)
        assert ran.code == 78
        assert "ALERTS_SECRET" in ran.err
        assert "not set" in ran.err
        assert "→" in ran.err


def test_a_key_that_cannot_sign_is_78_and_not_shown(home: Home, edited: Edit) -> None:
    home.environ["KEY"] = "canary-of-a-key"
    edited('client-secret = "env:ALERTS_SECRET"', 'private-key = "env:KEY"')
    ran = home.run("token", "alerts")
    assert ran.code == 78
    assert "private-key holds no RSA or P-256 private key in PEM that is not locked" in ran.err
    assert "canary" not in ran.err


def test_a_file_that_others_may_write_is_78(home: Home) -> None:
    home.config.chmod(0o666)
    ran = home.run("config", "show")
    assert ran.code == 78
    assert str(home.config) in ran.err
    assert "chmod go-w" in ran.err


def test_no_configuration_is_78_and_names_where_it_looked(home: Home) -> None:
    home.config.rename(home.folder / "postbearer.toml")  # the current folder is never looked at
    ran = home.run("config", "show")
    assert ran.code == 78
    assert "/etc/postbearer/postbearer.toml" in ran.err
    assert "--config" in ran.err


@pytest.mark.parametrize("name", ["missing.toml", ""])
def test_a_named_configuration_that_cannot_be_read_is_78(home: Home, name: str) -> None:
    place = home.folder / name
    ran = home.run("config", "show", "--config", str(place))
    assert ran.code == 78
    assert str(place) in ran.err


def test_a_file_that_is_no_toml_is_78(home: Home) -> None:
    path = home.write("[accounts.alerts]\naddress = alerts@example.org\n")
    ran = home.run("config", "validate")
    assert ran.code == 78
    assert f"{path}:2: " in ran.err


def test_an_unknown_account_is_78(home: Home) -> None:
    ran = home.run("token", "alert")
    assert ran.code == 78
    assert "Did you mean alerts?" in ran.err


def test_a_wrong_override_names_the_variable(home: Home) -> None:
    ran = home.run("config", "validate", environ={"POSTBEARER_ACCOUNTS__ALERTS__TLS": "startls"})
    assert ran.code == 78
    assert "POSTBEARER_ACCOUNTS__ALERTS__TLS" in ran.err
    assert "Did you mean starttls?" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sned"], "Did you mean send?"),
        (["queue", "lst"], "There is no command 'lst'. Did you mean list?"),
        (["accounts", "puase", "alerts"], "Did you mean pause?"),
        (["config", "validat"], "Did you mean validate?"),
        (["secret", "rotate"], "Did you mean rotate-key?"),
        (["import", "msmpt", "x"], "Did you mean msmtp?"),
        (["queue", "delete", "X1"], "Did you mean cancel?"),
        (["queue", "rm", "X1"], "Did you mean cancel?"),
        (["queue", "flush"], "Did you mean retry?"),
        (["accounts", "unpause", "x"], "Did you mean resume?"),
        ([*SEND, "--body", "x"], "Did you mean --text?"),
        ([*SEND, "--fro", "x"], "Did you mean --from?"),
        (["queue", "xyz"], "There is no command 'xyz'.\n"),
        (["send"], "--to"),
        (["send", "--acount", "x"], "--account"),
        ([*SEND, "--to", "nobody"], "domain is missing"),
        ([*SEND, "--to", "a@example.org\nBcc: b@example.org"], "control character"),
        ([*SEND, "--sender", "a@example.org, b@example.org"], "not an address"),
        ([*SEND, "--subject", "Hi\r\nBcc: b@example.org"], "control character"),
        ([*SEND, "--header", "X-Test: a\r\nBcc: b@example.org"], "X-Test"),
        ([*SEND, "--header", "X Test: a"], "X Test"),
        ([*SEND, "--header", "no colon"], "Name: value"),
        ([*SEND, "--timeout", "soon"], "not a duration"),
        ([*SEND, "--dsn-notify", "sometimes"], "success,failure,delay"),
        ([*SEND, "--dsn-notify", "never,delay"], "excludes"),
        ([*SEND, "--raw", "-", "--subject", "x"], "--subject"),
        ([*SEND, "--text", "-", "--html", "-"], "only once"),
        (["send", "--account", "alerts", "--text", "x"], "--to"),
        (["config", "set", "accounts.alerts.tls"], "VALUE"),
        (["config", "get"], "NAME"),
        (["sandbox", "--provider", "other"], "microsoft"),
        (["sandbox", "--lifetime", "0"], "x>0"),
    ],
)
def test_a_wrong_command_line_is_64(home: Home, arguments: list[str], says: str) -> None:
    ran = home.run(*arguments)
    assert ran.code == 64
    assert says in ran.err
    assert ran.err.startswith("error: ")
    assert ran.out == ""


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"A: b\r\n\r\nx\n", 3), (b"A: b\n\nx\ry\n", 1), (b"A: b\r\n\r\nx\r", 3)],
)
def test_mixed_line_ends_of_raw_content_are_65(home: Home, content: bytes, line: int) -> None:
    ran = home.run(*SEND, "--raw", "-", stdin=content)
    assert ran.code == 65
    assert f"line {line} " in ran.err


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n"])
def test_raw_content_with_nothing_in_it_is_65(home: Home, content: bytes) -> None:
    path = home.folder / "report.eml"
    path.write_bytes(content)
    for named, said in ((str(path), str(path)), ("-", "Standard input")):
        ran = home.run(*SEND, "--raw", named, stdin=content)
        assert ran.code == 65
        assert f"error: {said} is empty: there is no message, neither header nor text." in ran.err


def test_text_that_is_no_utf8_is_65(home: Home) -> None:
    ran = home.run(*SEND, "--text", "-", stdin=b"caf\xe9")
    assert ran.code == 65
    assert "UTF-8" in ran.err


@pytest.mark.parametrize("option", ["--raw", "--attach"])
def test_a_file_that_cannot_be_read_is_66(home: Home, option: str, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.eml", tmp_path):
        ran = home.run(*SEND, option, str(path))
        assert ran.code == 66
        assert str(path) in ran.err


def test_usage_errors_are_json_where_json_is_asked_for(home: Home) -> None:
    ran = home.run("send", "--json")
    assert ran.code == 64
    assert json.loads(ran.out)["error"]["exit"] == 64
    assert ran.err == ""


def test_a_relay_that_could_not_start_is_not_called_right(home: Home) -> None:
    home.write(
        '[accounts.a]\nprovider = "smtp"\nauthentication = "none"\naddress = "a@example.org"\n'
        'servers = ["mail.example.org:25"]\n[relay]\nlisten = ["0.0.0.0:2525"]\n'
    )
    ran = home.run("config", "validate")
    assert ran.code == 78
    assert "has no TLS" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("config", "get", "accounts.alerts.adress"), "Did you mean accounts.alerts.address?"),
        (("config", "get", "relay.acount"), "Did you mean relay.account?"),
        (("config", "get", "nothing"), "config show --all"),
        (("secret", "test", "accounts.alerts.client_secret"), "Did you mean accounts.alerts.client-secret?"),
    ],
)
def test_a_key_that_is_not_set_is_told_with_the_one_that_was_meant(
    home: Home, words: tuple[str, ...], said: str
) -> None:
    ran = home.run(*words)
    assert ran.code == 78
    assert said in ran.err


def test_an_address_that_is_none_is_told_once(home: Home) -> None:
    for given, said in (("nobody", "'--to': 'nobody' is not"), ("A <x>", "'--to': In 'A <x>': 'x' is not")):
        assert said in home.run("send", "--to", given, "--text", "x").err
