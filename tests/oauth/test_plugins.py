"""A grant of another package: found by its entry point, made of its settings, used like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbearer.assembly import Assembly
from postbearer.errors import ConfigError, PlugInFailed
from postbearer.oauth import CachedSource, Endpoint, Exchange, GrantContext, TokenAnswer, TokenGrant
from postbearer.secret import Secret
from postbearer.state import StateFolder
from postbearer.testing import ManualClock
from support.plugged import install
from support.tokenserver import TokenServer

PACKAGE = """
from collections.abc import Sequence
from dataclasses import dataclass, field

from postbearer.oauth import SecretInput, TokenGrant, exchange


@dataclass(frozen=True)
class Voucher(TokenGrant):
    name = "voucher"
    SECRETS = ("number",)

    number: SecretInput = field(repr=False)
    shop_name: str = "corner"
    scopes: Sequence[str] = ()

    def request(self, context):
        number = context.secrets["number"]
        return exchange(context, {"grant_type": "voucher", "number": number, "shop": self.shop_name})


def no_class():
    pass
"""
ENTRIES = """
[postbearer.grants]
voucher = shop_of_vouchers:Voucher
function = shop_of_vouchers:no_class
broken = no_such_package:Thing
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that brings grants."""
    site = install(tmp_path / "site", "shop_of_vouchers", PACKAGE, ENTRIES)
    monkeypatch.syspath_prepend(site)
    return site


def configured(folder: Path, server: TokenServer, lines: str) -> Assembly:
    path = folder / "postbearer.toml"
    path.write_text(
        '[accounts.alerts]\nprovider = "smtp"\naddress = "alerts@example.org"\nservers = ["127.0.0.1:1"]\n'
        f'token-url = "{server.url}"\n{lines}\n'
    )
    path.chmod(0o600)
    return Assembly.load(path, {}, StateFolder(folder / "state"))


async def test_it_gets_tokens(tmp_path: Path, server: TokenServer, package: Path) -> None:
    (tmp_path / "number").write_text("canary-7\n")
    lines = 'grant = "voucher"\n[accounts.alerts.grant-settings]\nnumber = "file:number"\nshop-name = "main"'
    source = configured(tmp_path, server, lines).token_source("alerts")
    assert (await source.token()).access == Secret("access-1")
    assert server.asked[0].form == {"grant_type": "voucher", "number": "canary-7", "shop": "main"}
    again = configured(tmp_path, server, lines).token_source("alerts")
    assert (await again.token()).access == Secret("access-1")  # kept and shared, as for every grant


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ('grant = "vouchr"', "grant", "Did you mean voucher?"),
        ('grant = "broken"', "grant", "could not be loaded: ModuleNotFoundError"),
        ('grant = "function"', "grant", "no subclass of TokenGrant"),
        ('grant = "voucher"', "grant-settings", "missing a required argument: 'number'"),
        (
            'grant = "voucher"\ngrant-settings = { number = "env:N", colour = "canary" }',
            "grant-settings",
            "unexpected keyword argument 'colour'",
        ),
        ('grant = "voucher"\ngrant-settings = { number = "canary" }', "", "not a reference to a secret"),
        (
            'grant = "static"\ntoken = "env:T"\ngrant-settings = {}',
            "grant-settings",
            "has no effect with static",
        ),
    ],
)
def test_what_is_wrong_with_it_is_named(
    tmp_path: Path, server: TokenServer, package: Path, lines: str, key: str, words: str
) -> None:
    with pytest.raises(Exception) as caught:
        configured(tmp_path, server, lines).account("alerts")
    assert words in f"{caught.value} {getattr(caught.value, 'hint', '')}"
    assert "canary" not in str(caught.value)
    if key:
        assert isinstance(caught.value, ConfigError)
        assert f"accounts.alerts.{key}" in str(caught.value)


class Meter(TokenGrant):
    """Takes one coin, and breaks from then on."""

    name = "meter"

    def __init__(self) -> None:
        self.coins = ["canary"]

    def request(self, context: GrantContext) -> Exchange:
        yield from ()
        return TokenAnswer(Secret(self.coins.pop()), lifetime=3600)


async def test_the_last_token_outlives_a_defect(clock: ManualClock) -> None:
    source = CachedSource(Meter(), Endpoint("http://127.0.0.1:9/token"), account="alerts", clock=clock)
    first = await source.token()
    clock.advance(3590)
    assert await source.token() == first
    clock.advance(20)
    with pytest.raises(PlugInFailed, match=r"Meter\) of alerts has a defect: IndexError\.") as caught:
        await source.token()
    assert isinstance(caught.value.__cause__, IndexError)
