"""The command line of sendmail, as programs really write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.cli.dropin.arguments import EarlyExit, Invocation, understand


def told(*words: str, program: str = "/usr/sbin/sendmail") -> dict[str, object]:
    """What differs from a plain order."""
    order, plain = understand(program, words), Invocation()
    return {
        name: getattr(order, name)
        for name in Invocation.__slots__
        if getattr(order, name) != getattr(plain, name)
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
        ("-r <me@example.org> a@e.org", {"sender": "<me@example.org>", "recipients": ["a@e.org"]}),
        ("-f <> a@e.org", {"sender": "<>", "recipients": ["a@e.org"]}),
        ("-FCron -odi -oem root", {"name": "Cron", "recipients": ["root"]}),
        (
            "-i -FCronDaemon -B8BITMIME -oem root",
            {"dots": True, "name": "CronDaemon", "recipients": ["root"]},
        ),
        ("root -f x@e.org", {"sender": "x@e.org", "recipients": ["root"]}),
        ("-- -f", {"recipients": ["-f"]}),
        ("-bm a b", {"recipients": ["a", "b"]}),
        ("-ba a", {"recipients": ["a"]}),
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
    with pytest.raises(EarlyExit) as caught:
        told(*words.split(" "))
    assert caught.value.code == 64


def test_an_empty_sender_is_the_null_one() -> None:
    assert told("-f", "", "a@e.org") == {"sender": "", "recipients": ["a@e.org"]}


@pytest.mark.parametrize(
    ("program", "words", "meaning"),
    [
        ("cron", ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"], ("", ["root"], False)),
        ("cronie", ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"], ("root", [], True)),
        ("systemd-cron", ["-i", "-B8BITMIME", "root"], ("", ["root"], False)),
        ("anacron", ["-FAnacron", "-odi", "root"], ("", ["root"], False)),
        ("mdadm", ["-t"], ("", [], True)),
        ("smartd", ["-i", "-t"], ("", [], True)),
        ("logwatch", ["-t"], ("", [], True)),
        ("unattended-upgrades, bsd-mailx", ["-i", "--", "root"], ("", ["root"], False)),
        ("unattended-upgrades", ["-oi", "-t"], ("", [], True)),
        ("apt-listchanges", ["-oi", "-t"], ("", [], True)),
        ("s-nail", ["-i", "-f", "a@e.org", "--", "b@e.org"], ("a@e.org", ["b@e.org"], False)),
        ("PHP", ["-t", "-i"], ("", [], True)),
        ("PHP with a fifth argument", ["-t", "-i", "-fa@e.org"], ("a@e.org", [], True)),
        (
            "git send-email",
            ["-f", "a@e.org", "-i", "b@e.org", "c@e.org"],
            ("a@e.org", ["b@e.org", "c@e.org"], False),
        ),
        ("sudo", ["-t"], ("", [], True)),
        ("monit, fail2ban", ["-f", "<a@e.org>", "b@e.org"], ("<a@e.org>", ["b@e.org"], False)),
        ("mutt", ["-oem", "-oi", "-f", "a@e.org", "--", "b@e.org"], ("a@e.org", ["b@e.org"], False)),
        ("Gitea", ["-f", "a@e.org", "-i", "b@e.org"], ("a@e.org", ["b@e.org"], False)),
        ("Rails", ["-i", "-t"], ("", [], True)),
        ("zed", ["-t", "-oi", "-oem"], ("", [], True)),
    ],
)
def test_what_programs_pass(program: str, words: list[str], meaning: tuple[str, list[str], bool]) -> None:
    order = understand("/usr/sbin/sendmail", words)
    assert (order.sender or "", order.recipients, order.scan) == meaning, program


@given(
    st.lists(
        st.one_of(st.text(max_size=4), st.sampled_from(["-o", "-f", "-b", "-N", "-q", "--", "-O"])),
        max_size=8,
    )
)
def test_no_words_end_in_anything_but_an_order_or_a_usage_error(words: list[str]) -> None:
    try:
        understand("sendmail", words)
    except EarlyExit as stop:
        assert stop.code == 64  # noqa: PT017 - either is right


def test_an_empty_value_of_o_is_ignored() -> None:
    assert told("-o", "", "a@e.org") == {"recipients": ["a@e.org"]}
