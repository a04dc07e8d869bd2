"""[[webhooks]]: what is wrong is told with file, line, key and cure, and no address is ever shown."""

from __future__ import annotations

import pytest

from postbearer.config import parse
from postbearer.errors import ConfigError, ConfigErrors

ACCOUNT = """
[accounts.out]
provider = "smtp"
address = "alerts@example.org"
servers = ["127.0.0.1:25"]
authentication = "none"
tls = "none-loopback"
"""
CANARY = "canary-path"
GOOD = f"""
[[webhooks]]
name = "shop"
url = "https://shop.example.org/{CANARY}"
secrets = ["env:HOOK_SECRET"]
"""


def loaded(text: str) -> list[ConfigError]:
    try:
        parse((ACCOUNT + text).encode(), "postbearer.toml")
    except ConfigErrors as errors:
        return list(errors.problems)
    except ConfigError as error:
        return [error]
    return []


def line_of(text: str, part: str) -> int:
    return (ACCOUNT + text)[: (ACCOUNT + text).index(part)].count("\n") + 1


def test_a_good_one_is_taken() -> None:
    assert loaded(GOOD) == []
    more = """
events = ["message.accepted", "message.failed"]
accounts = ["out"]
clients = ["local", "token:shop"]
tags = ["customer:42"]
timeout = "5 s"
allow-private = ["10.0.0.0/8", "fd00::/8"]
ca-file = "internal.pem"
"""
    assert loaded(GOOD + more) == []
    assert loaded(GOOD.replace(f'"https://shop.example.org/{CANARY}"', '"env:HOOK_URL"')) == []
    assert loaded(GOOD + "allow-private = true\n") == []


URL, SECRETS = "https://shop.example.org", '["env:HOOK_SECRET"]'
KEYS = '["env:A"]\n'


@pytest.mark.parametrize(
    ("old", "new", "key", "why", "cure"),
    [
        ('name = "shop"', 'name = "shop"\ntags = ["customer"]', "tags.0", "no tag", "NAME:VALUE"),
        ('name = "shop"', 'name = "The Shop"', "name", "cannot be", "lower case"),
        (URL, "http://shop.example.org", "url", "http://", "https://"),
        (URL, "https://user:canary@shop.example.org", "url", "user name or password", ""),
        (URL, "ftp://shop.example.org", "url", "", ""),
        (URL, "https://10.1.2.3", "url", "10.1.2.3", 'allow-private = ["10.1.2.3"]'),
        (URL, "https://[::1]", "url", "::1", 'allow-private = ["::1"]'),
        (URL, "http://localhost:8080", "url", "127.0.0.1", 'allow-private = ["127.0.0.0/8"]'),
        (URL, "https://169.254.169.254", "url", "169.254.169.254", ""),
        (URL, "https://[::ffff:10.0.0.1]", "url", "private", ""),
        (URL, "https://2130706433", "url", "no address as people write it", ""),
        (URL, "https://b\u00fccher.example", "url", "ASCII", "xn--bcher-kva.example"),
        (URL, "https://shop.example.org/\\r\\nX-Evil: y", "url", "", ""),
        (SECRETS, "[]", "secrets", "is empty", "two while one is replaced"),
        (SECRETS, '["env:A", "env:B", "env:C"]', "secrets", "3 secrets", ""),
        (SECRETS, '["whsec_Y2FuYXJ5"]', "secrets.0", "not a secret reference", "env:NAME"),
        (SECRETS, '"env:HOOK_SECRET"', "secrets", "must be a list", "brackets"),
        ("secrets =", "secret =", "secret", "not a known key", "secrets"),
        (SECRETS, f'{KEYS}events = ["accepted"]', "events.0", "cannot be", "message.accepted"),
        (SECRETS, f'{KEYS}accounts = ["uot"]', "accounts.0", "uot", "out"),
        (SECRETS, f'{KEYS}allow-private = "10.0.0.0/8"', "allow-private", "true or false", ""),
        (SECRETS, f'{KEYS}allow-private = ["10.0.0.0/40"]', "allow-private.0", "no network", ""),
        (SECRETS, f"{KEYS}timeout = 0", "timeout", "", ""),
        ("[[webhooks]]", "[webhooks]", "", "must be a list", "[[webhooks]]"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, key: str, why: str, cure: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    [found, *more] = loaded(text)
    assert more == []
    assert (found.key, found.file) == (f"webhooks.0.{key}" if key else "webhooks", "postbearer.toml")
    assert found.line is not None
    assert why in found.message
    assert cure in found.hint
    assert CANARY not in str(found)
    assert "canary" not in str(found)


def test_two_of_one_name() -> None:
    [found] = loaded(GOOD + GOOD)
    assert (found.key, "twice" in found.message) == ("webhooks.1.name", True)


def test_what_is_missing_is_said_once() -> None:
    found = loaded('\n[[webhooks]]\nname = "shop"\n')
    assert sorted(each.key for each in found) == ["webhooks.0.secrets", "webhooks.0.url"]


def test_what_should_be_looked_at() -> None:
    second = GOOD.replace('"shop"', '"also"') + 'clients = ["shpo"]\n'
    warnings = parse((ACCOUNT + GOOD + second).encode(), "postbearer.toml").warnings()
    told = [str(each) for each in warnings]
    assert any("another webhook" in each and "webhooks.1.url" in each for each in told)
    assert any("shpo" in each for each in told)
    assert all(CANARY not in each for each in told)
