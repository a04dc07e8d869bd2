"""A key of an account is one declaration, and the place where it acts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.testing import Sandbox
from support.patching import patched, using

DECLARED = {
    "    # Where mail goes.\n": '    department: Annotated[str | None, Prose("Whose mail it is.")] = None\n\n'
    "    # Where mail goes.\n"
}
SENDER_RULE = "        header = self.account.sender.apply(header)\n"  # of the mailer
ACTS = '        header = header.set("X-Department", self.account.settings.department or "none")\n'


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package lies with one key more."""
    return patched(
        tmp_path_factory.mktemp("tree"),
        {"settings/account.py": DECLARED, "mailer.py": {SENDER_RULE: SENDER_RULE + ACTS}},
    )


@pytest.fixture
def office(home: Home, tree: Path, postbearer_sandbox: Sandbox) -> Home:
    """A home where the package knows the key, with an account that has it."""
    home.write(f'{postbearer_sandbox.configuration()}department = "sales"\n')
    return using(home, tree)


def test_configuration_schema_and_environment_know_it(office: Home) -> None:
    assert office.run("config", "validate").code == 0
    assert '"sales"' in office.run("config", "show").out
    schema = json.loads(office.run("config", "schema").out)
    assert (
        schema["$defs"]["AccountSettings"]["properties"]["department"]["description"] == "Whose mail it is."
    )
    ran = office.run("config", "validate", environ={"POSTBEARER_ACCOUNTS__SANDBOX__DEPARTMENT": ""})
    assert "department" in ran.err  # empty: leave it out
    office.write(office.config.read_text().replace("department", "departement"))
    assert "Did you mean department?" in office.run("config", "validate").err


def test_it_acts(office: Home, postbearer_sandbox: Sandbox) -> None:
    ran = office.run("send", "--to", "you@example.org", "--subject", "x", "--text", "x")
    assert ran.code == 0, ran.err
    assert b"X-Department: sales\r\n" in postbearer_sandbox.inbox.messages[-1].content
