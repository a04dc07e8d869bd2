"""A secret does not leak by accident."""

import copy
import logging
import pickle
import traceback
from dataclasses import dataclass

import pytest

from postbearer.secret import GivenSecret, Secret

CANARY = "canary-5f1d0c"


@dataclass
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r:>40}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the old way is what logs use
        lambda secret: repr(Holder(secret)),
        lambda secret: repr([secret]),
        lambda secret: repr(GivenSecret(secret)),
    ],
)
def test_l7_no_way_of_printing_shows_it(show: object) -> None:
    assert CANARY not in show(Secret(CANARY))  # type: ignore[operator]


def test_l7_it_is_not_pickled_or_copied() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(Secret(CANARY))


def test_o9_a_traceback_with_locals_does_not_show_it() -> None:
    secret = Secret(CANARY)
    try:
        raise ValueError(f"with {secret}")
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret" in shown
    assert CANARY not in shown.replace(f"CANARY = '{CANARY}'", "")


def test_o9_a_log_line_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").error("token %s", Secret(CANARY))
    assert CANARY not in caplog.text


def test_the_value_is_there_for_who_asks_for_it() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(CANARY) == Secret(CANARY) != Secret("other")
    assert not Secret("")
