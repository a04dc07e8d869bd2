"""A grant is one file, and its lines in the root: everything else is told by what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.oauth import TokenGrant, grant_class, grant_names
from postbearer.providers import names, preset
from postbearer.testing import Sandbox
from support.patching import patched, using
from support.terminal import Terminal

TOY = '''
"""A grant for a test."""

from dataclasses import dataclass, field
from typing import ClassVar

from postbearer.oauth import from_settings
from postbearer.oauth.grants import TokenGrant, exchange


@dataclass(frozen=True, slots=True)
class Toy(TokenGrant):
    name: ClassVar[str] = "toy"
    SECRETS: ClassVar = ("key",)
    meaning: ClassVar[str] = "A toy that was wound up proves it."
    needs: ClassVar = (("client-id",), ("private-key", "client-secret"))
    endpoints: ClassVar = ("token-url",)
    doubt: ClassVar = ("runs down", "Choose a grant that needs no winding.")
    environment: ClassVar = {"client-id": ("TOY_ID",)}

    client_id: str
    key: str = field(repr=False)
    scopes: tuple = ()
    extra: dict = field(default_factory=dict)

    @classmethod
    def configured(cls, settings, preset, environ):
        name = settings.client_id or environ["TOY_ID"]
        return cls(name, settings.private_key or settings.client_secret, **from_settings.wishes(settings))

    def request(self, context):
        form = {"grant_type": "client_credentials", "client_id": self.client_id}
        return exchange(context, form | {"client_secret": context.secrets["key"]})
'''
LINES = {  # of the root: what is put before what stands there
    "_EXPORTS = {\n": '_EXPORTS = {\n    "toy": ["Toy"],\n',
    "GRANTS = {": 'GRANTS = {\n    "toy": "Toy",\n',
}
ACCOUNT = (
    '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\n'
    'servers = ["mail.example.org:587"]\ngrant = "toy"\n'
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package lies with one grant more."""
    place = patched(tmp_path_factory.mktemp("tree"), {"oauth/__init__.py": LINES})
    (place / "postbearer" / "oauth" / "toy.py").write_text(TOY)
    return place


@pytest.fixture
def toys(home: Home, tree: Path) -> Home:
    """A home where the package knows the grant."""
    return using(home, tree)


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ("", "client-id: is missing for the grant toy."),
        ('client-id = "x"', "private-key: is missing (or client-secret) for the grant toy."),
        (
            'client-id = "x"\nclient-secret = "env:S"',
            "token-url: is missing for the grant toy with Any SMTP server.",
        ),
        (
            'client-id = "x"\nclient-secret = "env:S"\npassword = "env:P"',
            "password: has no effect with toy: the login is by token.",
        ),
    ],
)
def test_what_it_needs_is_missed_by_validate(toys: Home, keys: str, wrong: str) -> None:
    toys.write(f"{ACCOUNT}{keys}\n")
    ran = toys.run("config", "validate")
    assert ran.code == 78
    assert f"accounts.alerts.{wrong}" in ran.err


def test_its_doubt_and_its_environment_are_known(toys: Home) -> None:
    toys.write(f'{ACCOUNT}token-url = "https://login.example.org/token"\nclient-secret = "env:S"\n')
    assert "client-id: is missing" in toys.run("config", "validate").err
    ran = toys.run("config", "validate", environ={"TOY_ID": "x"})
    assert ran.code == 0, ran.err
    assert "accounts.alerts.grant: toy runs down" in ran.err
    schema = json.loads(toys.run("config", "schema").out)
    assert "toy" in schema["$defs"]["AccountSettings"]["properties"]["grant"]["examples"]


def test_init_asks_for_it_and_token_prints_what_it_got(toys: Home, postbearer_sandbox: Sandbox) -> None:
    toys.config.unlink()
    toys.environ["POSTBEARER_CONFIG"] = str(toys.config)
    told = postbearer_sandbox.describe()
    options = (
        *("--provider", "smtp", "--address", "alerts@example.org", "--tls", "starttls", "--no-relay"),
        *("--server", f"localhost:{told['smtp']['starttls_port']}", "--ca-file", told["ca_file"]),
        *("--token-url", told["token_url"]),
    )
    with Terminal("init", *options, folder=toys.folder, environ=toys.environ) as person:
        person.answer("A name for the account [alerts]", "")
        person.wait_for("A toy that was wound up proves it.")
        person.answer("Name or number", "toy")
        person.answer("Id of the app", "sandbox-app")
        person.answer("Name or number [private-key]", "client-secret")
        person.answer("Name or number [sealed]", "file")
        person.answer("Path of the file", str(postbearer_sandbox.folder / "client-secret"))
        person.answer("Write this to", "y")
        person.answer("Check it now?", "n")
        assert person.code() == 0
    ran = toys.run("token", "alerts")
    assert ran.code == 0, ran.err
    assert ran.out.strip()
    assert toys.run("token", "alerts").out == ran.out  # kept, and bound to this grant


@pytest.mark.parametrize("name", grant_names())
def test_each_grant_is_told_by_its_name_and_describes_itself(name: str) -> None:
    kind = grant_class(name)
    assert kind is not None
    assert kind.name == name
    assert kind.meaning.endswith(".")
    assert kind.configured.__func__ is not TokenGrant.configured.__func__  # type: ignore[attr-defined]


def test_presets_name_grants_that_there_are() -> None:
    named = {
        (name, grant)
        for name in names()
        for chosen in [preset(name)]
        for grant in (
            *chosen.grants,
            *chosen.tenant_required_by,
            *(each for step in chosen.setup for each in step.grants),
        )
    }
    assert named
    assert [each for each in sorted(named) if each[1] not in grant_names()] == []
