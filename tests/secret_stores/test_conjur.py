"""``conjur:``, against a server of the tests that speaks as CyberArk's documentation says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import source
from secret_stores.conftest import Named
from support.canary import assert_absent
from support.planted import told
from support.tokenserver import Answer, said, serving
from support.vaults import Conjur

CANARY = "0.AAACANARY~client-secret"
REFERENCE = "conjur:prod/mail/client-secret"


@pytest.fixture
def conjur(monkeypatch: pytest.MonkeyPatch) -> Iterator[Conjur]:
    """A Conjur with a variable in it; the environment names it as for Conjur's own programs."""
    with serving(state=Conjur()) as server:
        server.secrets["prod/mail/client-secret"] = CANARY
        settings = {
            "CONJUR_APPLIANCE_URL": server.address,
            "CONJUR_ACCOUNT": server.account,
            "CONJUR_AUTHN_LOGIN": server.login,
            "CONJUR_AUTHN_API_KEY": server.api_key,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield server


async def test_the_environment_of_conjurs_own_programs_is_enough(conjur: Conjur) -> None:
    secret = source(REFERENCE)
    assert await secret.read() == Secret(CANARY)
    assert [asked.path for asked in conjur.asked] == [
        "/authn/shop/host%2Fmailer/authenticate",
        "/secrets/shop/variable/prod%2Fmail%2Fclient-secret",
    ]
    conjur.secrets["prod/mail/client-secret"] = "the new one"
    assert await secret.read() == Secret("the new one")


async def test_a_table(conjur: Conjur, named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPLIANCE_URL", "ACCOUNT", "AUTHN_LOGIN", "AUTHN_API_KEY"):
        monkeypatch.delenv(f"CONJUR_{name}")
    monkeypatch.setenv("KEY", conjur.api_key)
    table = f'type = "conjur"\naddress = "{conjur.address}"\naccount = "shop"\nlogin = "host/mailer"\n'
    secret = named("prod/mail/client-secret", table + 'api-key = "env:KEY"')
    assert await secret.read() == Secret(CANARY)


async def test_a_token_of_the_platform(conjur: Conjur, named: Named, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text(f"{conjur.jwt}\n")
    table = 'type = "conjur"\nservice-id = "kube"\njwt = "file:jwt"\n'
    assert await named("prod/mail/client-secret", table).read() == Secret(CANARY)
    assert conjur.asked[0].path == "/authn-jwt/kube/shop/authenticate", "the token says who it is"
    await named("prod/mail/client-secret", f'{table}login = "host/mailer"').read()
    assert conjur.asked[2].path == "/authn-jwt/kube/shop/host%2Fmailer/authenticate"


async def test_a_missing_variable_and_a_missing_permission(conjur: Conjur) -> None:
    with pytest.raises(SecretError, match=r"refuses to find a value of prod/none.*CONJ00076E") as caught:
        await source("conjur:prod/none").read()
    assert "conjur variable set -i prod/none" in caught.value.hint
    conjur.hidden.add("prod/mail/client-secret")
    with pytest.raises(SecretError, match=r"refuses to give prod/mail/client-secret \(HTTP 403\)") as caught:
        await source(REFERENCE).read()
    assert "Permit host/mailer to read and execute" in caught.value.hint
    assert not isinstance(caught.value, SecretUnavailable)


async def test_a_refused_login_does_not_show_the_key(conjur: Conjur, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONJUR_AUTHN_API_KEY", "CANARY-another-key")
    with pytest.raises(SecretError, match="refuses to log host/mailer in at authn/shop") as caught:
        await source(REFERENCE).read()
    assert_absent("CANARY-another-key", told(caught.value))


@pytest.mark.parametrize("answer", [said(500), said(503), Answer(hang_up=True)])
@pytest.mark.parametrize("logged_in", [False, True])
async def test_an_outage_passes(conjur: Conjur, answer: Answer, logged_in: bool) -> None:
    conjur.script += [said(payload="x")] if logged_in else []
    conjur.script.append(answer)
    with pytest.raises(SecretUnavailable):
        await source(REFERENCE).read()
    assert await source(REFERENCE).read() == Secret(CANARY)


async def test_a_portal_that_answers_for_it_gives_no_secret(conjur: Conjur) -> None:
    conjur.script += [Answer(200, b"<html>Welcome</html>", {"content-type": "text/html"})]
    with pytest.raises(SecretError, match="refuses to log"):
        await source(REFERENCE).read()


@pytest.mark.parametrize("name", ["APPLIANCE_URL", "ACCOUNT", "AUTHN_LOGIN", "AUTHN_API_KEY"])
def test_what_is_not_set_up(conjur: Conjur, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(f"CONJUR_{name}")
    with pytest.raises(SecretError, match=f"and CONJUR_{name} is not set"):
        source(REFERENCE)
