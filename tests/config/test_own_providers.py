"""A file `providers/NAME.toml` beside the configuration counts like a provider that comes with postbearer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.config import Providers, load
from postbearer.errors import ConfigError
from postbearer.state import StateFolder
from support.configuration import COMPLETE

Write = Callable[[str], Path]

CONFIGURATION = """\
[accounts.alerts]
provider = "example"
address = "alerts@example.org"
grant = "client-credentials"
client-id = "shop"
client-secret = "env:ALERTS_SECRET"
"""
OWN = """\
name = "example"
title = "Example Mail"
servers = ["mail.example.org:465"]
tls = "implicit"
token-url = "https://login.example.org/token"
refresh-margin = 300

[limits]
messages-per-minute = 10

[grants.client-credentials]
scopes = ["smtp.send"]

[grants.device-code]
works = "no"
note = "There is no device flow."

[clouds.north]
[clouds.south]
servers = ["mail.south.example.org:465"]
"""


def own(configuration: Path, text: str = OWN, name: str = "example") -> Path:
    folder = configuration.parent / "providers"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def problem(configuration: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(configuration, {})
    (only,) = caught.value.problems
    return only


def test_an_account_takes_everything_from_it(written: Write, tmp_path: Path) -> None:
    path = written(CONFIGURATION)
    own(path)
    account = Assembly.load(path, {}, StateFolder(tmp_path / "state")).account("alerts")
    assert [str(server) for server in account.smarthost.servers] == ["mail.example.org:465"]
    assert account.smarthost.tls == "implicit"
    assert account.endpoint.url == "https://login.example.org/token"
    assert account.refresh_margin == 300
    assert account.limits.messages_per_minute == 10
    assert account.grant is not None
    assert account.grant.name == "client-credentials"


def test_it_may_have_clouds_of_its_own(written: Write) -> None:
    path = written(CONFIGURATION + 'cloud = "south"\n')
    own(path)
    configuration = load(path, {})
    chosen = configuration.preset(configuration.account("alerts"))
    assert chosen.servers == ("mail.south.example.org:465",)
    path.write_text(CONFIGURATION + 'cloud = "sout"\n')
    wrong = problem(path)
    assert (wrong.key, wrong.line) == ("accounts.alerts.cloud", 7)
    assert wrong.hint == "Did you mean south?"


def test_a_grant_that_it_refuses_is_refused(written: Write) -> None:
    path = written(CONFIGURATION.replace("client-credentials", "device-code"))
    own(path)
    wrong = problem(path)
    assert wrong.key == "accounts.alerts.grant"
    assert "There is no device flow." in wrong.message


def test_it_is_listed_among_the_others(written: Write) -> None:
    path = written(CONFIGURATION)
    file = own(path)
    (file.parent / ".example.toml.swp").write_text("an editor's")
    (file.parent / "notes.txt").write_text("mine")
    known = Providers.found(str(path), {})
    assert set(known.names()) == {*Providers().names(), "example"}
    assert known.own("example") == str(file)
    assert known.own("google") == ""


def test_it_stands_before_a_shipped_one_of_that_name(written: Write) -> None:
    path = written(CONFIGURATION.replace("example", "yahoo", 1))
    own(path, OWN.replace('"example"', '"yahoo"'), "yahoo")
    configuration = load(path, {})
    assert configuration.preset(configuration.account("alerts")).title == "Example Mail"


@pytest.mark.parametrize(
    ("was", "written_as", "line", "key", "says"),
    [
        ("tls =", "tsl =", 4, "tsl", "tsl"),
        ('tls = "implicit"', 'tls = "maybe"', 4, "tls", "maybe"),
        ("https://login", "http://login", None, "", "https"),
        ("messages-per-minute = 10", "messages-per-minute = 'ten'", 9, "limits.messages-per-minute", "int"),
        ('works = "no"', 'works = "perhaps"', 11, "grants[...].works", "perhaps"),
        ("[grants.device-code]", "[grants.telepathy]", 14, "grants.telepathy", "telepathy"),
        ('title = "Example Mail"', "title = ", 2, "", "not TOML"),
        ('name = "example"', 'name = "another"', 1, "name", "describes 'another'"),
    ],
)  # fmt: skip
def test_a_mistake_in_it_is_told_with_its_place(
    written: Write, was: str, written_as: str, line: int | None, key: str, says: str
) -> None:
    path = written(CONFIGURATION)
    assert was in OWN
    file = own(path, OWN.replace(was, written_as, 1))
    wrong = problem(path)
    assert (wrong.file, wrong.line, wrong.key) == (str(file), line, key)
    assert says in wrong.message


def test_a_file_that_is_no_text_is_told(written: Write) -> None:
    path = written(CONFIGURATION)
    file = own(path)
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in problem(path).message


def test_a_name_that_no_account_could_say_is_told(written: Write) -> None:
    path = written(CONFIGURATION.replace("example", "My Mail", 1))
    file = own(path, name="My Mail")
    wrong = problem(path)
    assert wrong.file == str(file)
    assert "lower case" in wrong.hint


def test_one_that_others_may_write_is_refused(written: Write) -> None:
    path = written(CONFIGURATION)
    file = own(path)
    file.chmod(0o666)
    assert "Others may write" in problem(path).message
    file.chmod(0o600)
    file.parent.chmod(0o777)
    assert "Others may write the folder" in problem(path).message


def test_what_is_nowhere_is_told_with_what_was_probably_meant(written: Write) -> None:
    path = written(CONFIGURATION.replace('"example"', '"exmaple"'))
    own(path)
    assert problem(path).hint == "Did you mean example?"
    with pytest.raises(ConfigError, match="example, fastmail"):
        Providers(str(path)).preset("nothing")


ZOHO = '[accounts.a]\nprovider = "zoho"\naddress = "a@example.org"\n'


@pytest.mark.parametrize(
    ("more", "key", "line"),
    [
        ('grant = "refresh-token"\n', "grant", 4),
        ('grant = "static"\ntoken = "env:T"\n', "grant", 4),
        ('authentication = "oauth"\n', "authentication", 4),
        ("", "authentication", 2),
    ],
)
def test_where_no_token_helps_the_password_is_named(written: Write, more: str, key: str, line: int) -> None:
    wrong = problem(written(ZOHO + more))
    assert wrong.key == f"accounts.a.{key}"
    assert re.search("Use an app password", wrong.message)
    assert 'authentication = "password"' in wrong.hint


def test_the_app_password_is_used_there(written: Write, tmp_path: Path) -> None:
    path = written(ZOHO + 'cloud = "eu"\nauthentication = "password"\npassword = "env:P"\n')
    account = Assembly.load(path, {"P": "x"}, StateFolder(tmp_path / "state")).account("a")
    assert account.smarthost.authentication == "password"
    assert [str(server) for server in account.smarthost.servers] == ["smtp.zoho.eu:465"]


def test_a_complete_file_needs_none_of_it(written: Write) -> None:
    assert load(written(COMPLETE), {}).providers.names() == Providers().names()


RULE = """
[[rule]]
id = "full-moon"
code = ["550"]
text = ["full moon"]
{key} = "permanent"
cause = "It is full moon."
mark = "reported"
sample = "550 5.7.110 It is full moon"
"""


def test_the_former_name_of_a_key_is_read_with_a_warning_that_names_the_new_one(written: Write) -> None:
    path = written(CONFIGURATION)
    file = own(path, OWN + RULE.format(key="klass"))
    configuration = load(path, {})
    (warning,) = configuration.warnings()
    line = file.read_text().splitlines().index('klass = "permanent"') + 1
    assert (warning.file, warning.key, warning.line) == (str(file), "rule[0].klass", line)
    assert "disposition" in warning.message
    assert "disposition" in warning.hint
    rules = configuration.preset(configuration.settings.accounts["alerts"]).rules
    assert [rule.disposition for rule in rules if rule.name == "example/full-moon"] == ["permanent"]


def test_both_names_at_once_are_refused(written: Write) -> None:
    path = written(CONFIGURATION)
    own(path, OWN + RULE.format(key='disposition = "hold"\nklass'))
    assert "klass" in problem(path).key


def test_the_new_name_brings_no_warning(written: Write) -> None:
    path = written(CONFIGURATION)
    own(path, OWN + RULE.format(key="disposition"))
    assert load(path, {}).warnings() == ()
