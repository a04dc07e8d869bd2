"""One key is changed; comments, order, mode and every other byte stay. Anything wrong changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.config import json_schema, load, set_key, unset_key
from postbearer.errors import ConfigError
from support.configuration import COMPLETE

Write = Callable[[str], Path]
NAME = "accounts.alerts.maximum-token-lifetime"


def test_a_key_is_set_and_the_rest_of_the_file_stays(written: Write) -> None:
    path = written(COMPLETE)
    path.chmod(0o640)
    set_key(str(path), NAME, '"1 s"', {})
    assert path.read_text() == COMPLETE + 'maximum-token-lifetime = "1 s"\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("name", "value", "written_as"),
    [
        (NAME, "1 s", '"1 s"'),  # what is no TOML is a text
        (NAME, "60", "60"),
        ("accounts.alerts.client-id", "0123", '"0123"'),
        ("accounts.alerts.client-id", "123", '"123"'),  # a text belongs there
        ("accounts.alerts.scopes", '["a", "b"]', '["a", "b"]'),
        ("accounts.alerts.limits.connections", "2", "2"),
        ("allow-ephemeral", "true", "true"),
    ],
)
def test_values_are_read_as_toml_else_as_text(written: Write, name: str, value: str, written_as: str) -> None:
    path = written(COMPLETE)
    set_key(str(path), name, value, {})
    assert f"{name.rpartition('.')[2]} = {written_as}" in path.read_text()
    load(path, {})


def test_a_changed_value_keeps_the_comment_beside_it(written: Write) -> None:
    path = written(COMPLETE)
    set_key(str(path), "accounts.alerts.client-id", "other", {})
    assert 'client-id = "other"                       # as registered\n' in path.read_text()


def test_line_ends_of_the_file_stay(written: Write) -> None:
    path = written("")
    path.write_bytes(COMPLETE.replace("\n", "\r\n").encode())
    set_key(str(path), NAME, "60", {})
    content = path.read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n")


def test_a_key_is_taken_away(written: Write) -> None:
    path = written(COMPLETE + "timeout = 5\n")
    unset_key(str(path), "accounts.alerts.timeout", {})
    assert path.read_text() == COMPLETE


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("accounts.alerts.tls", "startls", "starttls?"),
        ("accounts.alerts.tsl", "starttls", "tls?"),
        ("accounts.alerts.client-secret", "canary-secret", "not a secret reference"),
        ("accounts.alerts.fallback", "nobody", "does not exist"),
        ("accounts.new.address", "new@example.org", "is missing"),
        ("accounts..x", "1", "with dots"),
        ("acounts.alerts.tls", "1", "accounts?"),
        ("accounts.alerts.client-id.x", "1", "not a known key"),
    ],
)
def test_what_would_make_the_file_wrong_is_refused(written: Write, name: str, value: str, says: str) -> None:
    path = written(COMPLETE)
    with pytest.raises(ConfigError) as caught:
        set_key(str(path), name, value, {})
    assert says in str(caught.value)
    assert "canary" not in str(caught.value)
    assert path.read_text() == COMPLETE


@pytest.mark.parametrize("name", ["accounts.alerts.address", "accounts.alerts.timeout", "accounts.no.tls"])
def test_what_is_needed_or_absent_cannot_be_taken_away(written: Write, name: str) -> None:
    path = written(COMPLETE)
    with pytest.raises(ConfigError):
        unset_key(str(path), name, {})
    assert path.read_text() == COMPLETE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"[accounts.alerts\n", 1),
        (b'[accounts.alerts]\naddress = "a@example.org"\naddress = "b@example.org"\n', 3),
        (b"# t\xfc\n", 1),
    ],
)
def test_a_file_that_is_no_toml_is_told_by_line(tmp_path: Path, text: bytes, line: int) -> None:
    path = tmp_path / "postbearer.toml"
    path.write_bytes(text)
    path.chmod(0o600)
    for change in (
        lambda: set_key(str(path), NAME, "60", {}),
        lambda: unset_key(str(path), "accounts.alerts.address", {}),
    ):
        with pytest.raises(ConfigError) as raised:
            change()
        assert raised.value.line == line
    assert path.read_bytes() == text


def test_a_link_stays_a_link(written: Write, tmp_path: Path) -> None:
    path = written(COMPLETE)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    set_key(str(link), NAME, "60", {})
    assert link.is_symlink()
    assert "maximum-token-lifetime = 60" in path.read_text()


def test_a_file_that_changed_meanwhile_is_not_overwritten(written: Write) -> None:
    from postbearer.config.edit import replace

    path = written(COMPLETE)
    with pytest.raises(ConfigError, match="meanwhile"):
        replace(str(path), b"what was read before", b"new")
    assert path.read_text() == COMPLETE
    assert os.listdir(path.parent) == [path.name]


def test_the_published_schema_speaks_of_the_keys_as_written() -> None:
    schema = json_schema()
    account = schema["$defs"]["AccountSettings"]
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert account["additionalProperties"] is False
    assert set(account["required"]) == {"provider", "address"}
    assert account["properties"]["maximum-token-lifetime"]["type"] == ["number", "string"]
    assert "null" not in str(schema)
    assert all(each.get("description") for each in account["properties"].values())
