"""The tables [secret-stores.NAME]: what is wrong in one is told with its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from house.tree import ROOT
from postbearer.config import json_schema, load
from postbearer.config.stores import TYPES
from postbearer.config.values import SCHEMES
from postbearer.errors import ConfigError
from postbearer.secrets import reference
from support.configuration import COMPLETE

Write = Callable[[str], Path]
VAULT = 'type = "hashicorp-vault"\naddress = "https://vault.example.org"\n'


@pytest.mark.parametrize(
    ("table", "key", "says", "hint"),
    [
        ('type = "hashicorp_vault"\n', "type", "cannot be 'hashicorp_vault'", "mean hashicorp-vault?"),
        ("type = 5\n", "type", "must be a text", ""),
        ('type = "file"\npath = "/x"\n', "path", "is not a known key", "Known are: type, cache"),
        (VAULT + 'adress = "x"\n', "adress", "is not a known key", "Did you mean address?"),
        (VAULT + "namespace = 7\n", "namespace", "must be a text", "quotes"),
        (VAULT + "kv-version = 3\n", "kv-version", "must be at most 2", ""),
        (VAULT + 'auth = "app-role"\n', "auth", "cannot be 'app-role'", "Did you mean approle?"),
        (VAULT + 'token = "hvs.CANARY"\n', "token", "not a secret reference", "env:NAME"),
        (VAULT + 'token = "safe:secret/vault#token"\n', "token", "does not begin with a secret store", ""),
        (VAULT + 'auth = "approle"\nrole-id = "x"\n', "secret-id", "is missing for auth = approle", "= …"),
        (VAULT + 'auth = "kubernetes"\n', "role", "is missing for auth = kubernetes", "Add role"),
        (VAULT.replace("https", "http"), "address", "in the clear", "https"),
        ('type = "azure-key-vault"\nclient-secret = "abc"\n', "client-secret", "not a secret reference", ""),
        ('type = "azure-key-vault"\ncloud = "chine"\n', "cloud", "cannot be 'chine'", "china?"),
        ('type = "gcp-secret-manager"\nserviceaccount = "env:X"\n', "serviceaccount",
         "is not a known key", "service-account?"),
        ('type = "aws-secrets-manager"\nregoin = "x"\n', "regoin", "is not a known key", "region?"),
        ('type = "aws-secrets-manager"\nsecret-access-key = "wJal"\n', "secret-access-key",
         "not a secret reference", "env:NAME"),
        ('type = "keyring"\nservice = "x"\n', "service", "is not a known key", "type, cache"),
        ('type = "conjur"\naddress = "conjur.example.org"\n', "address", "is not a web URL", "https"),
        (VAULT + "cache = []\n", "cache", "is not a duration", ""),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(written: Write, table: str, key: str, says: str, hint: str) -> None:
    text = f"{COMPLETE}\n[secret-stores.safe]\n{table}"
    with pytest.raises(ConfigError) as caught:
        load(written(text), {})
    (problem,) = caught.value.problems
    assert problem.key == f"secret-stores.safe.{key}"
    assert says in problem.message
    assert hint in problem.hint
    assert "CANARY" not in str(problem)
    lines = text.splitlines()
    assert problem.line is not None
    assert lines[problem.line - 1].startswith((f"{key} ", "[secret-stores.safe]"))


def test_what_a_usual_variable_may_say_is_only_looked_at(
    written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay may have it where this command has not."""
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    configuration = load(written(f'{COMPLETE}\n[secret-stores.safe]\ntype = "hashicorp-vault"\n'), {})
    (warning,) = configuration.warnings()
    assert warning.key == "secret-stores.safe.address"
    assert "VAULT_ADDR is not set here" in warning.message
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.org")
    assert configuration.warnings() == ()


def test_our_own_variables_override_settings(written: Write) -> None:
    variables = {"POSTBEARER_SECRET_STORES__SAFE__KV_VERSION": "1"}
    settings = load(written(f"{COMPLETE}\n[secret-stores.safe]\n{VAULT}"), variables).settings
    assert settings.secret_stores["safe"]["kv-version"] == 1


def test_every_scheme_that_may_be_written_can_be_opened() -> None:
    assert set(reference._BUILT_IN) == set(SCHEMES)


@pytest.mark.parametrize(
    ("table", "fits"),
    [
        ({"type": "hashicorp-vault", "address": "https://vault.example.org", "cache": "5m"}, True),
        ({"type": "hashicorp-vault", "adress": "https://vault.example.org"}, False),
        ({"type": "command", "cache": 5}, True),
        ({"type": "a-plug-in", "door": "left"}, True),
        ({"address": "https://vault.example.org"}, False),
    ],
)
def test_an_editor_is_told_the_settings_of_each_type(table: dict[str, object], fits: bool) -> None:
    judge = Draft202012Validator(json_schema())
    assert judge.is_valid({"secret-stores": {"safe": table}}) is fits


def test_the_tables_that_the_guide_shows_are_right(written: Write) -> None:
    guide = (ROOT / "docs" / "how-to" / "keep-secrets.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    tables = [block.split("[accounts")[0] for block in blocks if "[secret-stores." in block]
    assert len(tables) >= 5
    settings = load(written(COMPLETE + "\n".join(["", *tables])), {}).settings
    assert {table["type"] for table in settings.secret_stores.values()} == set(TYPES)
