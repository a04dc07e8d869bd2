"""check, status, reload and stop, of a relay that runs as a service does: with secrets that only it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Home
from postbearer.testing import Faults, Sandbox
from relay.running import Relay, relay_table
from support.local import short_folder

SECRET = "CANARY_ONLY_IN_THE_SERVICE"


@pytest.fixture
def service(
    home: Home, sandbox_microsoft: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Home, Relay]]:
    sandbox = sandbox_microsoft
    monkeypatch.setenv(SECRET, sandbox.client_secret)
    known = f'"file:{sandbox.folder / "client-secret"}"'
    assert known in sandbox.configuration()
    text = sandbox.configuration().replace(known, f'"env:{SECRET}"') + relay_table('account = "sandbox"')
    with short_folder() as folder, Relay(folder, text) as relay:
        relay.start()
        home.environ |= {"POSTBEARER_STATE": relay.state.path, "POSTBEARER_CONFIG": str(relay.config)}
        yield home, relay


def test_check_has_the_relay_look_with_its_own_secrets(service: tuple[Home, Relay]) -> None:
    home, relay = service
    ran = home.run("check", "sandbox")
    assert (ran.code, ran.err) == (0, "")
    assert "✓ AUTH" in ran.out
    assert home.run("check").out.splitlines()[0] == "sandbox"
    told = json.loads(home.run("check", "--json", "-v").out)
    assert (told["by"], told["exit"]) == ("relay", 0)
    assert any("AUTH" in line for lines in told["accounts"][0]["conversations"] for line in lines)
    for local in (["--local"], ["--config", str(relay.config)]):
        ran = home.run("check", *local)
        assert ran.code == 78
        assert SECRET in ran.out
    assert json.loads(home.run("check", "--local", "--json").out)["by"] == "command"
    assert home.run("check", "nobody").code == 78


def test_check_looks_itself_where_the_relay_runs_by_another_file(service: tuple[Home, Relay]) -> None:
    home, relay = service
    text = relay.config.read_text()
    other = home.write(text.replace("accounts.sandbox", "accounts.another").replace('"sandbox"', '"another"'))
    environ = {"POSTBEARER_CONFIG": str(other)}
    ran = home.run("check", "another", environ=environ)
    assert ran.code == 78  # this command does not have the secret
    assert ran.out.splitlines()[0] == "another"
    assert f"A relay runs by {relay.config}" in ran.err
    assert json.loads(home.run("check", "--json", environ=environ).out)["by"] == "command"
    assert json.loads(home.run("check", "--relay", "--json", environ=environ).out)["by"] == "relay"
    link = home.folder / "link.toml"
    link.symlink_to(relay.config)
    environ["POSTBEARER_CONFIG"] = str(link)
    assert json.loads(home.run("check", "--json", environ=environ).out)["by"] == "relay"
    assert home.run("check", "--relay", "--local").code == 64


def test_check_of_a_paused_account_says_so_and_what_has_it_try_again(service: tuple[Home, Relay]) -> None:
    home, _ = service
    assert "paused" not in home.run("check", "sandbox").out
    home.run("accounts", "pause", "sandbox")
    ran = home.run("check", "sandbox")
    assert ran.code == 0
    assert "The relay has it paused, until it is resumed" in ran.out
    assert "postbearer accounts resume sandbox" in ran.out
    told = json.loads(home.run("check", "--json").out)["accounts"][0]
    assert told["pause"]["tried_again"] is None


def test_what_the_relay_finds_is_explained_as_here(
    service: tuple[Home, Relay], sandbox_microsoft: Sandbox
) -> None:
    home, _ = service
    sandbox_microsoft.set_faults(Faults(refuse_tokens=100))
    ran = home.run("check", "sandbox")
    assert ran.code == 77
    assert "✗ AUTH" in ran.out
    assert "→ " in ran.out


def test_check_looks_by_the_file_as_it_is_now(service: tuple[Home, Relay]) -> None:
    home, relay = service
    relay.config.write_text(relay.config.read_text().replace("address", "adress"))
    ran = home.run("check")
    assert ran.code == 78
    assert "adress" in ran.out


def test_reload_takes_a_good_configuration_and_tells_of_a_bad_one(service: tuple[Home, Relay]) -> None:
    home, relay = service
    good = relay.config.read_text()
    relay.config.write_text(good.replace("address", "adress"))
    ran = home.run("reload")
    assert ran.code == 78
    assert "adress" in ran.err
    relay.config.write_text(good.replace("address", "adress").replace("grant", "grand"))
    ran = home.run("reload")
    assert ran.code == 78
    assert ("adress" in ran.err, "grand" in ran.err, str(relay.config) in ran.err) == (True, True, True)
    relay.config.write_text(good + '\n[notify]\nmail-to = ["ops@example.org"]\n')
    assert home.run("reload").code == 0
    assert len(relay.said("Reloaded")) == 1
    assert home.run("stop").code == 0
    assert relay.ended() == 0
    for command in ("reload", "stop"):
        assert home.run(command).code == 78


def test_status_is_a_line_and_a_code(service: tuple[Home, Relay]) -> None:
    home, relay = service
    ran = home.run("status")
    assert (ran.code, ran.out.splitlines()[1:]) == (0, [])
    assert ran.out.startswith("OK - 1 account")
    assert " | accounts=1 paused=0 waiting=0 held=0 oldest=0s" in ran.out
    home.run("accounts", "pause", "sandbox")
    ran = home.run("status")
    assert (ran.code, ran.out.split(" - ")[0]) == (1, "WARNING")
    told = json.loads(home.run("--json", "status").out)
    assert (told["state"], told["exit"], told["paused"]) == ("warning", 1, 1)
    alone = home.run("status", "--relay-only")
    assert (alone.code, alone.out.split(" | ")[0]) == (0, "OK - the relay answers")
    home.run("accounts", "resume", "sandbox")
    home.run("config", "set", "accounts.sandbox.client-secret-expires", "2020-01-01")
    home.run("reload")
    ran = home.run("status")
    assert (ran.code, ran.out.split(" - ")[0]) == (2, "CRITICAL")
    assert "has ended" in ran.out
    relay.stop()
    for options in ((), ("--relay-only",)):
        ran = home.run("status", *options)
        assert (ran.code, ran.out.split(" - ")[0]) == (2, "CRITICAL")
        assert "No relay" in ran.out


def test_mail_that_waits_for_too_long_is_told(service: tuple[Home, Relay]) -> None:
    home, relay = service
    home.run("accounts", "pause", "sandbox")
    home.run("sendmail", "ops@example.org", stdin="x\n")
    for option, code in (("--warning", 1), ("--critical", 2)):
        ran = home.run("status", option, "1ms")
        assert ran.code == code
        assert "has waited for" in ran.out
    assert Path(relay.state.path).is_dir()
