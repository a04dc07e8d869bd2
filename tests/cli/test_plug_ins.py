"""Grants of other packages: what cannot work is told early, and whose defect it is."""

from __future__ import annotations

import pytest

from cli.conftest import Home
from support.plugged import install

PACKAGE = """
from postbearer.oauth import TokenGrant


class Voucher(TokenGrant):
    name = "voucher"
    scopes = ()

    def request(self, context):
        return {"canary": 1}["canary-2"]


class Forgetful(Voucher):
    def request(self, context):
        return None


class Picky(Voucher):
    def __init__(self):
        raise ValueError("canary")


class Lazy(TokenGrant):
    name = "lazy"


class Till:
    def __init__(self, rest, place):
        self.reference = f"till:{rest}"

    async def read(self):
        return "canary"
"""
ENTRIES = """
[postbearer.grants]
voucher = shop_of_vouchers:Voucher
forgetful = shop_of_vouchers:Forgetful
picky = shop_of_vouchers:Picky
lazy = shop_of_vouchers:Lazy
absent = shop_of_vouchers:Absent
broken = no_such_package:Thing

[postbearer.secret_stores]
till = shop_of_vouchers:Till
"""
ACCOUNT = (
    '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\nservers = ["127.0.0.1:9"]\n'
    'token-url = "http://127.0.0.1:9/token"\ngrant = "{grant}"\n'
)


@pytest.fixture
def shop(home: Home) -> Home:
    """A home where such a package is installed."""
    site = install(home.folder / "site", "shop_of_vouchers", PACKAGE, ENTRIES)
    before = home.environ.get("PYTHONPATH", "")
    home.environ["PYTHONPATH"] = f"{site}:{before}" if before else str(site)
    return home


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        ("broken", "The grant broken could not be loaded: ModuleNotFoundError"),
        ("absent", "The grant absent could not be loaded: AttributeError"),
        ("lazy", "The grant lazy (shop_of_vouchers:Lazy) has no method request."),
        ("picky", "The grant picky (shop_of_vouchers:Picky) could not be made: ValueError."),
    ],
)
def test_a_grant_that_cannot_work_is_found_by_validate(shop: Home, grant: str, words: str) -> None:
    shop.write(ACCOUNT.format(grant=grant))
    ran = shop.run("config", "validate")
    assert ran.code == 78
    assert f"postbearer.toml:6: accounts.alerts.grant: {words}" in ran.err
    assert "canary" not in ran.err
    shop.write(ACCOUNT.format(grant="voucher"))
    assert shop.run("config", "validate").code == 0


@pytest.mark.parametrize(("grant", "kind"), [("voucher", "KeyError"), ("forgetful", "TypeError")])
def test_a_defect_of_a_grant_names_it_and_the_account(shop: Home, grant: str, kind: str) -> None:
    shop.write(ACCOUNT.format(grant=grant))
    ran = shop.run("token", "alerts")
    told = f"(shop_of_vouchers:{grant.title()}) of alerts has a defect: {kind}."
    assert ran.code == 70
    assert told in ran.err
    assert "canary" not in ran.err
    checked = shop.run("check", "alerts")
    assert checked.code == 70
    assert told in checked.out
    assert "Traceback" in shop.run("token", "alerts", "--debug").err


def test_a_defect_of_a_secret_store_names_it_and_the_reference(shop: Home) -> None:
    shop.write(ACCOUNT.format(grant="client-credentials") + 'client-id = "x"\nclient-secret = "till:2"\n')
    for command in (("token", "alerts"), ("secret", "test", "till:2")):
        ran = shop.run(*command)
        assert ran.code == 78
        assert "till:2: The secret store till (shop_of_vouchers:Till) has a defect: TypeError." in ran.err
        assert "canary" not in ran.err
