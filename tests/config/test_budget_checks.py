"""Limits above the provider's, and accounts of one mailbox, are questioned and never refused."""

from __future__ import annotations

import pytest

from postbearer.config import parse

MICROSOFT = """
[accounts.{name}]
provider = "microsoft"
address = "{address}"
tenant = "contoso.example"
grant = "client-credentials"
client-id = "00000000-0000-0000-0000-000000000000"
client-secret = "env:SECRET"
"""


def said(*tables: str) -> list[tuple[str, str]]:
    return [(each.key, each.message) for each in parse("".join(tables).encode(), "p.toml", {}).warnings()]


def microsoft(name: str, address: str, more: str = "") -> str:
    return MICROSOFT.format(name=name, address=address) + more


@pytest.mark.parametrize(
    ("limit", "questioned"),
    [
        ("messages-per-minute = 30", False),
        ("messages-per-minute = 10", False),
        ("messages-per-minute = 3000", True),
    ],
)
def test_a_limit_above_the_providers_is_questioned(limit: str, questioned: bool) -> None:
    found = said(microsoft("a", "a@contoso.example", f"limits = {{ {limit} }}\n"))
    assert [key for key, _ in found] == ["accounts.a.limits.messages-per-minute"] * questioned
    assert all("is 3000, and" in message and "allow 30" in message for _, message in found)


def test_a_server_of_ones_own_may_have_any_limit() -> None:
    table = '[accounts.a]\nprovider = "smtp"\naddress = "a@example.org"\nauthentication = "none"\n'
    assert (
        said(f'{table}servers = ["mail.example.org:25"]\nlimits = {{ messages-per-minute = 9000 }}\n') == []
    )


def test_accounts_of_one_mailbox_are_named() -> None:
    one = microsoft("a", "a@contoso.example")
    assert said(one, microsoft("b", "b@contoso.example")) == []
    for other in (
        microsoft("b", "A@Contoso.example"),
        microsoft("b", "x@contoso.example", 'username = "a@contoso.example"\n'),
    ):
        ((key, message),) = said(one, other)
        assert key == "accounts.b"
        assert "sends from the same mailbox as a, so" in message


def test_the_same_login_at_two_servers_is_two_mailboxes() -> None:
    table = '[accounts.{0}]\nprovider = "smtp"\naddress = "a@example.org"\nauthentication = "none"\n'
    table += 'servers = ["{1}:25"]\n'
    assert said(table.format("a", "one.example.org"), table.format("b", "two.example.org")) == []
    assert len(said(table.format("a", "one.example.org"), table.format("b", "one.example.org"))) == 1
