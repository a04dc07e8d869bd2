"""`postbearer init`: a few questions, a configuration with comments, and nothing half-written."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.control import target
from postbearer.testing import Sandbox
from support.configuration import COMPLETE
from support.terminal import Terminal

END_OF_INPUT = "\x04"  # Ctrl-D
CANARY = "canary-Zy8~Q.1+abc"
MICROSOFT = (
    *("--provider", "microsoft", "--tenant", "example.org", "--address", "alerts@example.org"),
    *("--grant", "client-credentials", "--client-id", "app", "--client-secret", "env:SHOP_SECRET"),
)
ZOHO = ("--provider", "zoho", "--address", "a@example.org")


@pytest.fixture
def empty(home: Home) -> Home:
    """A home folder without a configuration; the one to make is named, so that root's stays out of it."""
    home.config.unlink()
    home.config.parent.rmdir()
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    return home


def at(sandbox: Sandbox) -> tuple[str, ...]:
    """The options that send a Microsoft account to the sandbox."""
    told = sandbox.describe()
    return (
        *("--server", f"localhost:{told['smtp']['starttls_port']}", "--ca-file", told["ca_file"]),
        *("--tls", "starttls", "--token-url", told["token_url"]),
    )


def test_a_new_user_comes_from_questions_to_a_delivered_message(
    empty: Home, sandbox_microsoft: Sandbox
) -> None:
    with Terminal("init", *at(sandbox_microsoft), folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "microsfot")
        person.wait_for("Did you mean microsoft?")
        person.answer("Name or number", "microsoft")
        person.answer("Name or number [global]", "")
        person.answer("leaves from", "alerts")
        person.wait_for("Write it as user@example.org.")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account [alerts]", "Alerts!")
        person.wait_for("lower case")
        person.answer("A name for the account [alerts]", "")
        person.answer("Name or number [client-credentials]", "1")
        person.answer("directory id", "not a tenant")
        person.wait_for("organisation's domain")
        person.answer("directory id", "example.org")
        person.answer("Id of the app", "sandbox-app")
        person.answer("Name or number [client-secret]", "")
        person.answer("Name or number [sealed]", "sealed")
        person.answer("Client secret:", "11111111-2222-3333-4444-555555555555")
        person.wait_for("looks like the Secret ID")
        person.answer("all the same?", "n")
        person.answer("Name or number [sealed]", "sealed")
        person.answer("Client secret:", sandbox_microsoft.client_secret)
        person.answer("by a relay here?", "y")
        person.answer("Where the relay listens", "")
        assert not empty.config.exists()
        person.answer("Write this to", "y")
        person.answer("Check it now?", "y")
        assert person.code() == 0
    assert "✓ AUTH" in person.seen
    assert "Next: postbearer serve" in person.seen
    assert sandbox_microsoft.client_secret not in person.seen
    assert sandbox_microsoft.client_secret not in empty.config.read_text()
    sent = empty.run(
        "send", "-a", "alerts", "--to", "you@example.org", "--subject", "Hi", "--text", "It works."
    )
    assert sent.code == 0, sent.err
    (received,) = sandbox_microsoft.inbox.messages
    assert b"It works." in received.content


def test_what_will_not_do_is_said_in_red_and_not_in_codes(empty: Home) -> None:
    with Terminal("init", folder=empty.folder, environ=empty.environ, kind="xterm") as person:
        person.answer("Name or number", "smpt")
        person.wait_for("✗ 'smpt' is none of these.")
        person.answer("Name or number", "smtp")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account [alerts]", "Bad!")
        person.wait_for("✗ the name cannot be 'Bad!'")
        person.answer("A name for the account [alerts]", "")
        person.wait_for("command             A program of yours prints the token.\n")
        person.answer("Name or number [client-credentials]", "")
        person.answer("host:port", "mail")
        person.wait_for("✗ servers cannot be 'mail'.")
    assert "\\x1b" not in person.seen


def test_a_place_where_nothing_can_be_made_is_told_before_the_first_question(empty: Home) -> None:
    (empty.folder / "file").touch()
    path = empty.folder / "file" / "etc" / "postbearer.toml"
    where = {"folder": empty.folder, "environ": {**empty.environ, "POSTBEARER_CONFIG": str(path)}}
    with Terminal("init", **where) as person:
        assert person.code() == 78
    assert f"Nothing can be made in {empty.folder / 'file'}." in person.seen
    assert "Name or number" not in person.seen


def test_without_questions_options_say_everything(empty: Home, sandbox_microsoft: Sandbox) -> None:
    empty.environ["SHOP_SECRET"] = sandbox_microsoft.client_secret
    options = [word if word != "app" else "sandbox-app" for word in MICROSOFT]
    made = empty.run("init", "--non-interactive", *options, *at(sandbox_microsoft), "--relay")
    assert made.code == 0, made.err
    assert made.out.splitlines() == [
        f"{empty.config}: the account alerts is there.",
        "Next: postbearer check alerts",
        "Next: postbearer serve",
    ]
    assert empty.run("config", "validate").code == 0
    checked = empty.run("check", "alerts", "--send-to", "you@example.org")
    assert checked.code == 0, checked.out
    assert len(sandbox_microsoft.inbox.messages) == 1


def test_a_file_of_authorities_is_the_one_that_was_named_here(
    empty: Home, sandbox_microsoft: Sandbox
) -> None:
    empty.environ["SHOP_SECRET"] = sandbox_microsoft.client_secret
    here = empty.folder / "ca.pem"
    here.write_bytes(Path(sandbox_microsoft.describe()["ca_file"]).read_bytes())
    options = ["sandbox-app" if word == "app" else word for word in MICROSOFT]
    made = empty.run("init", "--non-interactive", *options, *at(sandbox_microsoft), "--ca-file", here.name)
    assert made.code == 0, made.err
    assert empty.run("config", "get", "accounts.alerts.ca-file").out == f"{here}\n"
    assert empty.run("check", "alerts").code == 0


def test_a_new_file_is_for_its_owner_and_says_what_each_key_means(empty: Home) -> None:
    assert empty.run("init", *MICROSOFT).code == 0
    assert stat.S_IMODE(empty.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(empty.config.parent.stat().st_mode) == 0o700
    text = empty.config.read_text()
    assert "what to set up there: postbearer providers microsoft" in text
    keys = [line for line in text.splitlines() if " = " in line]
    assert len(keys) == 6
    assert all("  # " in line for line in keys)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ((), 64, ["--provider and --address", "--grant"]),
        (("--provider", "google"), 64, ["--address"]),
        (("--provider", "gogle", "--address", "a@example.org"), 64, ["--provider cannot be", "google?"]),
        (("--provider", "google", "--address", "a@example.org"), 64, ["--grant is missing", "jwt-bearer"]),
        (
            MICROSOFT[:8],
            64,
            ["--client-id is missing", "→ Give --client-id ID", "--client-secret is missing"],
        ),
        (
            ("--provider", "office365", "--address", "a@example.org", "--grant", "ropc"),
            64,
            ["--provider cannot be", "mean microsoft?", "--grant cannot be", "mean password?"],
        ),
        ((*MICROSOFT, "--tenant", "a b"), 64, ["--tenant cannot be 'a b'", "directory id"]),
        ((*MICROSOFT, "--address", "nobody"), 64, ["--address is no mail address: the domain is missing"]),
        ((*MICROSOFT, "--client-secret", CANARY), 64, ["--client-secret", "never the secret itself"]),
        ((*MICROSOFT, "--grant", "jwt-bearer"), 64, ["--service-account is missing"]),
        ((*MICROSOFT, "--server", "mail.example.org"), 64, ["--server", "host:port"]),
        ((*MICROSOFT, "--listen", "0.0.0.0:25"), 64, ["--listen 0.0.0.0:25", "no TLS"]),
        ((*MICROSOFT, "--name", "Big Mail"), 64, ["Big Mail", "lower case"]),
        ((*MICROSOFT, "--set", "sendr=allow"), 64, ["--set sendr", "sender?"]),
        ((*MICROSOFT, "--set", "sender"), 64, ["KEY=VALUE"]),
        ((*MICROSOFT, "--set", "sender=maybe"), 64, ["--set sender=… cannot be 'maybe'"]),
        (("--provider", "icloud", "--address", "a@example.org"), 64, ["--password is missing"]),
        ((*ZOHO, "--grant", "static"), 64, ["--grant cannot be 'static'", "app password"]),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_told_by_its_option(
    empty: Home, options: tuple[str, ...], code: int, says: list[str]
) -> None:
    ran = empty.run("init", *options)
    assert ran.code == code, ran.err
    assert [text for text in says if text not in ran.err] == []
    assert CANARY not in ran.err
    assert not empty.config.exists()


def test_further_keys_have_the_types_of_the_configuration(empty: Home) -> None:
    more = ("--set", "sender=allow", "--set", 'aliases=["b@example.org"]', "--set", "refresh-margin=5m")
    assert empty.run("init", *MICROSOFT, *more).code == 0
    told = json.loads(empty.run("config", "get", "accounts.alerts.aliases", "--json").out)
    assert told["value"] == ["b@example.org"]
    assert empty.run("config", "get", "accounts.alerts.refresh-margin").out == "5m\n"


def test_an_account_is_added_and_the_rest_of_the_file_stays(home: Home) -> None:
    before = COMPLETE + '\n[relay]\nlisten = ["127.0.0.1:2526"]   # not the usual port\n'
    home.write(before)
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    made = home.run("init", *MICROSOFT, "--name", "second", "--json")
    assert json.loads(made.out) == {
        "file": str(home.config),
        "account": "second",
        "created": False,
        "changed": True,
        "next": ["postbearer check second"],
    }
    after = home.config.read_text()
    assert COMPLETE in after
    assert "# not the usual port" in after
    assert home.run("config", "get", "accounts.second.client-id").out == "app\n"
    # The relay goes on sending through the account that was the only one.
    assert home.run("config", "get", "relay.account").out == "alerts\n"
    assert home.run("config", "validate").code == 0


def test_line_ends_of_the_file_stay(home: Home) -> None:
    home.config.write_bytes(COMPLETE.replace("\n", "\r\n").encode())
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    assert home.run("init", *MICROSOFT, "--name", "second").code == 0
    assert b"\n" not in home.config.read_bytes().replace(b"\r\n", b"")


def test_an_account_that_is_there_is_left_alone(home: Home) -> None:
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    ran = home.run("init", *MICROSOFT, "--name", "alerts")
    assert ran.code == 73
    assert "Choose another --name" in ran.err
    assert home.config.read_text() == COMPLETE


def test_another_name_is_found_for_a_second_mailbox_of_the_same_name(home: Home) -> None:
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    assert "the account alerts-2 is there" in home.run("init", *MICROSOFT).out


def test_a_file_that_is_wrong_is_not_added_to(home: Home) -> None:
    home.write(COMPLETE + "tsl = 1\n")
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    ran = home.run("init", *MICROSOFT, "--name", "second")
    assert ran.code == 78
    assert f"{home.config}:10: accounts.alerts.tsl" in ran.err
    assert "second" not in home.config.read_text()


def test_by_force_the_file_is_made_anew_for_its_owner_alone(home: Home) -> None:
    home.write("this is no TOML")
    home.config.chmod(0o644)
    home.environ["POSTBEARER_CONFIG"] = str(home.config)
    assert home.run("init", *MICROSOFT, "--force").code == 0
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert home.run("config", "validate").out.endswith("is right: 1 account.\n")


def test_a_place_that_others_may_write_is_refused_before_anything_is_asked(empty: Home) -> None:
    empty.config.parent.mkdir()
    empty.config.parent.chmod(0o777)
    ran = empty.run("init", *MICROSOFT)
    assert ran.code == 78
    assert "Others may write the folder" in ran.err
    assert not empty.config.exists()


def test_whoever_says_no_at_the_end_has_nothing_written(empty: Home) -> None:
    with Terminal("init", *MICROSOFT, "--no-relay", folder=empty.folder, environ=empty.environ) as person:
        person.answer("[global]", "")
        person.answer("A name for the account", "")
        person.answer("Write this to", "n")
        assert person.code() == 130
    assert "Nothing was written." in person.seen
    assert not empty.config.exists()


def test_whoever_leaves_in_the_middle_has_nothing_written(empty: Home) -> None:
    with Terminal("init", folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "google")
        person.answer("leaves from", END_OF_INPUT)
        assert person.code() == 130
    assert not empty.config.parent.exists()


def test_where_a_person_signs_in_the_command_for_it_comes_first(empty: Home) -> None:
    with Terminal("init", folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "outlook")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account", "")
        person.answer("How are tokens obtained?", "device-code")
        person.answer("Id of the app", "app")
        person.answer("Where is the client secret?", "none")
        person.answer("by a relay here?", "")
        person.answer("Write this to", "")
        assert person.code() == 0
    login, check = "Next: postbearer login alerts", "Next: postbearer check alerts"
    assert person.seen.index(login) < person.seen.index(check)


def test_where_no_token_helps_a_password_is_asked_for(empty: Home) -> None:
    with Terminal("init", "--grant", "static", folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "icloud")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account", "")
        person.wait_for("Use an app-specific password.")
        person.answer("Where is the password?", "file")
        person.answer("Path of the file", "nowhere")
        person.answer("It cannot be read now.", "n")
        person.answer("Where is the password?", "env")
        person.answer("[ALERTS_PASSWORD]", "")
        person.answer("It cannot be read now.", "y")
        person.answer("by a relay here?", "y")
        person.answer("Where the relay listens", "0.0.0.0:2525")
        person.wait_for("no TLS")
        person.answer("Where the relay listens [127.0.0.1:2525]", "")
        person.answer("Write this to", "")
        person.answer("Check it now?", "n")
        assert person.code() == 0
    assert empty.run("config", "get", "accounts.alerts.authentication").out == "password\n"
    assert empty.run("config", "get", "relay.account").out == "alerts\n"
    assert empty.run("config", "validate").code == 0


def test_any_server_is_asked_for_with_its_endpoints(empty: Home, postbearer_sandbox: Sandbox) -> None:
    told = postbearer_sandbox.describe()
    secret = str(postbearer_sandbox.folder / "client-secret")
    options = ("--ca-file", told["ca_file"])
    with Terminal("init", *options, folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "smtp")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account", "shop")
        person.answer("How are tokens obtained?", "client-credentials")
        person.answer("Mail server, as host:port", "localhost")
        person.answer("Mail server, as host:port", f"localhost:{told['smtp']['implicit_port']}")
        person.answer("How is the connection protected?", "implicit")
        person.answer("Scopes to ask for", "smtp.send")
        person.answer("Token endpoint", "http://login.example.org/token")
        person.wait_for("secrets would travel in the clear")
        person.answer("Token endpoint", told["token_url"])
        person.answer("Id of the app", told["client_id"])
        person.answer("What proves it?", "client-secret")
        person.answer("Where is the client secret?", "file")
        person.answer("Path of the file", secret)
        person.answer("by a relay here?", "n")
        person.answer("Write this to", "")
        person.answer("Check it now?", "y")
        assert person.code() == 0
    assert "✓ AUTH" in person.seen


def test_providers_of_ones_own_can_be_chosen(empty: Home) -> None:
    folder = empty.config.parent / "providers"
    folder.mkdir(parents=True)
    (folder / "example.toml").write_text(
        'name = "example"\ntitle = "Example Mail"\nservers = ["mail.example.org:465"]\ntls = "implicit"\n'
        '[grants.command]\n'
    )  # fmt: skip
    options = ("--provider", "example", "--address", "a@example.org", "--grant", "command")
    assert empty.run("init", *options, "--command", "print-a-token").code == 0
    assert "Example Mail" in empty.config.read_text()


def test_any_grant_can_be_chosen_where_nothing_is_said_about_grants(empty: Home) -> None:
    folder = empty.config.parent / "providers"
    folder.mkdir(parents=True)
    (folder / "example.toml").write_text(
        'name = "example"\ntitle = "Example Mail"\nservers = ["mail.example.org:465"]\ntls = "implicit"\n'
    )
    with Terminal("init", folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "example")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account", "")
        person.answer("How are tokens obtained?", "command")
        person.answer("Command that prints an access token", "print-a-token")
        person.answer("by a relay here?", "")
        person.answer("Write this to", "")
        person.answer("Check it now?", "n")
        assert person.code() == 0


def test_a_person_at_google_signs_in_in_a_browser(empty: Home) -> None:
    with Terminal("init", folder=empty.folder, environ=empty.environ) as person:
        person.answer("Name or number", "google")
        person.answer("leaves from", "alerts@example.org")
        person.answer("A name for the account", "")
        person.answer("How are tokens obtained?", "authorization-code")
        person.answer("Id of the app", "app")
        person.answer("Where is the client secret?", "env")
        person.answer("Name of the variable", "")
        person.answer("It cannot be read now.", "")
        person.answer("by a relay here?", "")
        person.answer("Write this to", "")
        assert person.code() == 0
    assert "Next: postbearer login alerts" in person.seen


def test_the_file_is_the_one_named_or_found_or_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, system = str(tmp_path / "mine.toml"), str(tmp_path / "etc.toml")
    assert target("other.toml", [mine, system]) == os.path.abspath("other.toml")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert target(None, [mine, system]) == system
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert target(None, [mine, system]) == mine
    Path(system).touch()
    assert target(None, [mine, system]) == system
    Path(mine).touch()
    assert target(None, [mine, system]) == mine


def test_the_same_mailbox_described_again_changes_nothing(empty: Home) -> None:
    first = empty.run("init", *MICROSOFT, "--json")
    before = empty.config.read_text()
    again = empty.run("init", *MICROSOFT, "--json")
    assert (first.code, again.code) == (0, 0)
    told, retold = json.loads(first.out), json.loads(again.out)
    assert (told["changed"], retold["changed"], retold["created"]) == (True, False, False)
    assert (retold["account"], retold["next"]) == (told["account"], told["next"])
    assert "nothing was changed" in empty.run("init", *MICROSOFT).out
    assert empty.config.read_text() == before


def test_the_same_mailbox_described_otherwise_is_73(empty: Home) -> None:
    assert empty.run("init", *MICROSOFT).code == 0
    before = empty.config.read_text()
    ran = empty.run("init", *MICROSOFT, "--client-secret", "env:ANOTHER")
    assert ran.code == 73
    assert "another client-secret" in ran.err
    assert "--name" in ran.err
    assert empty.config.read_text() == before
    assert empty.run("init", *MICROSOFT, "--name", "second").code == 0


@pytest.mark.parametrize(
    ("tenant", "good"),
    [
        ("contoso.com", True),
        ("11111111-2222-3333-4444-555555555555", True),
        ("organizations", False),  # app-only tokens are for one
        ("contoso", False),
        ("my company", False),
        ("11111111-2222-3333-4444", False),
        ("-.com", False),
    ],
)
def test_a_tenant_is_a_domain_or_an_id(empty: Home, tenant: str, good: bool) -> None:
    ran = empty.run("init", *MICROSOFT, "--tenant", tenant)
    assert ran.code == (0 if good else 64)
    assert good or "tenant" in ran.err
