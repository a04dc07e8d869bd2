"""``token`` a second time takes the kept token without a look at the configuration, whoever got it."""

from __future__ import annotations

import time

import pytest

from cli.conftest import Home
from postbearer import __version__
from postbearer.state import peek, shortcut
from postbearer.testing import Sandbox


def quick(home: Home) -> str | None:
    known = shortcut(home.config.read_bytes(), home.environ, __version__)
    return peek(home.environ["POSTBEARER_STATE"], "sandbox", known, time.time())


@pytest.mark.parametrize("change", ["the environment", "the file"])
def test_a_token_that_was_got_under_another_configuration(
    home: Home, postbearer_sandbox: Sandbox, change: str
) -> None:
    home.write(postbearer_sandbox.configuration())
    first = home.run("token", "sandbox", environ={"POSTBEARER_RELAY__SIZE": "1 MB"})
    assert first.code == 0, first.err
    if change == "the file":
        home.run("token", "sandbox")
        home.write(home.config.read_text() + "# a remark\n")
    assert quick(home) is None
    second = home.run("token", "sandbox")
    assert (second.out, second.err) == (first.out, "")
    assert quick(home) == first.out.strip()
    assert home.run("token", "sandbox", environ={"POSTBEARER_RELAY__SIZE": "1 MB"}).out == first.out
