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
        return 1 / 0
"""
ENTRIES = "[postbearer.grants]\nvoucher = shop_of_vouchers:Voucher\nbroken = no_such_package:Thing\n"
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


def test_a_grant_that_cannot_be_loaded_is_found_by_validate(shop: Home) -> None:
    shop.write(ACCOUNT.format(grant="broken"))
    ran = shop.run("config", "validate")
    assert ran.code == 78
    assert "postbearer.toml:6: accounts.alerts.grant: The grant broken could not be loaded" in ran.err
    shop.write(ACCOUNT.format(grant="voucher"))
    assert shop.run("config", "validate").code == 0


def test_a_defect_of_a_plug_in_is_not_called_one_of_ours(shop: Home) -> None:
    shop.write(ACCOUNT.format(grant="voucher"))
    ran = shop.run("token", "alerts")
    assert ran.code == 70
    assert "a defect in the plug-in voucher (shop_of_vouchers:Voucher) (ZeroDivisionError)" in ran.err
