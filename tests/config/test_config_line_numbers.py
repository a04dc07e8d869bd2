from __future__ import annotations

import pytest

from postbearer.config.line_numbers import LineNumbers, split_dotted

FILE = '''\
# [accounts.wrong] in a comment
title = """
[accounts.text]
tls = "inside a text"
"""
[accounts.alerts]
servers = [
  "a.example.org:587",  # ] not the end
  "b.example.org:587",
]
tls = "starttls"
limits.size = "25 MB"
[accounts."odd.name"]
a = 'x = 1'
[[relay.clients]]
name = "one"
[[relay.clients]]
name = "two"
[relay.clients.more]
x = { a = 1, b = "}" }
[relay]
spool = "sqlite:/x"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("accounts", "alerts"), 6),
        (("accounts", "alerts", "servers"), 7),
        (("accounts", "alerts", "servers", 1), 7),
        (("accounts", "alerts", "tls"), 11),
        (("accounts", "alerts", "limits", "size"), 12),
        (("accounts", "alerts", "absent"), 6),
        (("accounts", "odd.name", "a"), 14),
        (("relay", "clients", 0, "name"), 16),
        (("relay", "clients", 1), 17),
        (("relay", "clients", 1, "name"), 18),
        (("relay", "clients", 1, "more", "x"), 20),
        (("relay", "spool"), 22),
        (("accounts", "text"), 6),
        (("nothing", "of", "this"), None),
    ],
)
def test_every_key_is_found_on_its_line(path: tuple[str | int, ...], line: int | None) -> None:
    assert LineNumbers(FILE).of(path) == line


def test_dotted_names_may_be_quoted_and_hold_indices() -> None:
    assert split_dotted('secret-stores."my.store".type') == ("secret-stores", "my.store", "type")
    assert split_dotted("relay.clients.0.name") == ("relay", "clients", 0, "name")


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a b", "a=b"])
def test_what_is_no_dotted_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        split_dotted(name)
