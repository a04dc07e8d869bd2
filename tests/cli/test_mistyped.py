"""What people of Postfix, msmtp, mailx and systemd type: told what it is called here."""

from __future__ import annotations

import re

import click
import pytest

from cli.conftest import Home
from postbearer.cli.groups import ELSEWHERE
from postbearer.cli.root import postbearer
from postbearer.suggestion import MEANINGS

TYPED = {
    "help": "Did you mean --help?",
    "queue help": "Did you mean --help?",
    "version": "Did you mean --version?",
    "-V": "Did you mean --version?",
    "validate": "Did you mean config validate?",
    "configtest": "Did you mean config validate?",
    "start": "Did you mean serve?",
    "restart": "Did you mean reload or stop?",
    "logs": "journalctl -u postbearer",
    "health": "Did you mean status?",
    "mailq": "Did you mean queue?",
    "postqueue": "Did you mean queue?",
    "flush": "Did you mean queue retry?",
    "hold": "Did you mean queue hold?",
    "suspend": "Did you mean accounts pause?",
    "mail": "Did you mean send?",
    "doctor": "Did you mean check?",
    "queue suspend": "Did you mean hold?",
    "queue resume": "Did you mean release?",
    "queue delete": "Did you mean cancel?",
    "queue rm": "Did you mean cancel?",
    "queue flush": "Did you mean retry?",
    "queue cat": "Did you mean show?",
    "queue -f": "postbearer queue retry",
    "queue -d ID": "postbearer queue cancel",
    "queue list --since 1h": "Did you mean --newer-than?",
    "queue list -n 5": "Did you mean --limit?",
    "accounts new": "postbearer accounts add",
    "accounts delete": "postbearer accounts remove NAME",
    "accounts stop": "Did you mean pause?",
    "config edit": "Did you mean set?",
    "config check": "Did you mean validate?",
    "secret encrypt": "Did you mean seal?",
    "send -m text": "Did you mean --text?",
    "send -t a@example.org": "Did you mean --to?",
    "send --attachment x": "Did you mean --attach?",
}


@pytest.mark.parametrize("typed", TYPED)
def test_other_words_are_told_by_ours(home: Home, typed: str) -> None:
    ran = home.run(*typed.split())
    assert ran.code == 64
    assert TYPED[typed] in ran.err


@pytest.mark.parametrize("option", ["-r", "-f", "--from", "--sender"])
def test_the_author_is_named_as_other_programs_do(home: Home, option: str) -> None:
    ran = home.run("send", "--to", "you@example.org", "--text", "x", option, "no address")
    assert ran.code == 64
    assert "'no address'" in ran.err


def test_every_command_that_is_named_in_answer_is_there() -> None:
    context = click.Context(postbearer)
    texts = [*(f"postbearer {name}" for name in MEANINGS if " " in name), *ELSEWHERE.values()]
    for words in [
        found for text in texts for found in re.findall(r"(?:^|: )postbearer ([a-z]+(?: [a-z-]+)?)", text)
    ]:
        first, *others = words.split()
        command = postbearer.get_command(context, first)  # type: ignore[attr-defined]
        assert command is not None, words
        for name in others:
            assert not isinstance(command, click.Group) or command.get_command(context, name), words
