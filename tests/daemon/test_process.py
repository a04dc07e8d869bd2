"""The process of the relay: what a signal may bring about, and what not."""

from __future__ import annotations

from typing import cast

from postbearer.assembly import Assembly
from postbearer.daemon import process
from postbearer.daemon.relay import Relay
from postbearer.observe import Log


class Listening(Log):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def notice(self, event: object) -> None:
        self.said.append(str(getattr(event, "text", event)))


class Standing:
    """A relay that is not asked to change."""

    async def reload(self, assembly: Assembly) -> None:
        raise AssertionError("it was to stay as it is")


def broken() -> Assembly:
    raise ValueError("canary-of-a-secret")


async def test_a_defect_in_reading_the_configuration_does_not_end_the_relay() -> None:
    log = Listening()
    await process._reload(cast(Relay, Standing()), broken, log)
    (text,) = log.said
    assert "the old one stays: a defect (ValueError)" in text
    assert "canary" not in text
