"""The command line of sendmail, as programs really write it."""

from __future__ import annotations

import pytest

from postbearer.cli.dropin.words import Order, Stop, understand


def told(*words: str, program: str = "/usr/sbin/sendmail") -> dict[str, object]:
    """What differs from a plain order."""
    order, plain = understand(program, words), Order()
    return {
        name: getattr(order, name) for name in Order.__slots__ if getattr(order, name) != getattr(plain, name)
    }


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("-t", {"scan": True}),
        ("-t -i", {"scan": True, "dots": True}),
        ("-ti", {"scan": True, "dots": True}),
        ("-oi -t", {"scan": True, "dots": True}),
        ("-o i -t", {"scan": True, "dots": True}),
        (
            "-oem -oi -f me@example.org -- a@e.org",
            {"dots": True, "sender": "me@example.org", "recipients": ["a@e.org"]},
        ),
        ("-fme@example.org a@e.org", {"sender": "me@example.org", "recipients": ["a@e.org"]}),
        ("-r <me@example.org> a@e.org", {"sender": "me@example.org", "recipients": ["a@e.org"]}),
        ("-f <> a@e.org", {"sender": "", "recipients": ["a@e.org"]}),
        ("-FCron -odi -oem root", {"name": "Cron", "recipients": ["root"]}),
        (
            "-i -FCronDaemon -B8BITMIME -oem root",
            {"dots": True, "name": "CronDaemon", "recipients": ["root"]},
        ),
        ("root -f x@e.org", {"sender": "x@e.org", "recipients": ["root"]}),
        ("-- -f", {"recipients": ["-f"]}),
        ("-bm a b", {"recipients": ["a", "b"]}),
        ("-bs", {"mode": "s"}),
        ("-bp", {"mode": "p"}),
        ("-bi", {"mode": "i"}),
        ("-q", {"mode": "p"}),
        ("-q30m", {"mode": "p"}),
        ("-N never a", {"notify": ["NEVER"], "recipients": ["a"]}),
        (
            "-N failure,delay -R hdrs -V id1 a",
            {"notify": ["FAILURE", "DELAY"], "ret": "HDRS", "envid": "id1", "recipients": ["a"]},
        ),
        (
            "-v -C /etc/x -O Timeout=1 -X /tmp/log -d0.1 -G -U -L tag -h 3 -p smtp a",
            {"verbose": True, "recipients": ["a"]},
        ),
    ],
)
def test_options(words: str, meaning: dict[str, object]) -> None:
    assert told(*words.split(" ")) == meaning


def test_the_name_it_is_called_by_matters() -> None:
    assert told(program="/usr/bin/mailq") == {"mode": "p"}
    assert told(program="newaliases") == {"mode": "i"}


@pytest.mark.parametrize(
    "words", ["-f", "-Z", "-bd", "-bt", "-bv", "-N sometimes", "-N never,delay", "-R all", "-t -F"]
)
def test_what_cannot_be_understood_is_a_usage_error(words: str) -> None:
    with pytest.raises(Stop) as caught:
        told(*words.split(" "))
    assert caught.value.code == 64


def test_an_empty_sender_is_the_null_one() -> None:
    assert told("-f", "", "a@e.org") == {"sender": "", "recipients": ["a@e.org"]}
