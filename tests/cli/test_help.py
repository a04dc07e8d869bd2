"""``--help`` of every command, as a terminal of 80 columns shows it."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from cli.conftest import Home
from postbearer.cli.root import postbearer


def commands() -> Iterator[str]:
    """The words of every command and every group there is."""

    def below(command: click.Command, context: click.Context, words: str) -> Iterator[str]:
        yield words
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from below(found, click.Context(found, parent=context), f"{words} {name}".strip())

    yield from below(postbearer, click.Context(postbearer), "")


@pytest.mark.parametrize("command", list(commands()))
def test_no_line_is_longer_than_a_terminal(home: Home, command: str) -> None:
    told = home.run(*command.split(), "--help", environ={"COLUMNS": "80"})
    assert told.code == 0
    assert "Usage: postbearer" in told.out
    assert [line for line in told.out.splitlines() if len(line) > 80] == []
