"""An error tells the same in another process, or as a copy: pools of workers hand errors over pickled."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from postbearer import errors
from postbearer.errors import (
    AlreadyAccepted,
    BudgetSpent,
    ConfigError,
    ConfigErrors,
    PostbearerError,
    Rejected,
)
from postbearer.meaning import Disposition, Scope, Verdict
from postbearer.oauth import Token
from postbearer.outcome import Outcome, Receipt, State
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.transport import LoginRefused

GONE = Receipt(
    (
        Outcome(
            "gone@example.org",
            State.FAILED,
            Reply(550, (b"5.1.1 Unknown",)),
            verdict=Verdict(
                State.FAILED, Scope.RECIPIENT, Disposition.PERMANENT, remedy="Correct the address."
            ),
        ),
    ),
    server="mail.example.org:587",
)
SPECIAL: dict[type[PostbearerError], PostbearerError] = {
    Rejected: GONE.rejection(),
    BudgetSpent: BudgetSpent("Enough for now.", account="alerts", retry_at=1.5, hint="Later."),
    AlreadyAccepted: AlreadyAccepted("Twice.", id="7"),
    ConfigErrors: ConfigErrors(
        [ConfigError("Wrong.", key="port", file="a.toml", line=3), ConfigError("Too.")]
    ),
}


def all_kinds() -> Iterator[PostbearerError]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, PostbearerError):
            yield SPECIAL.get(kind) or kind("What happened.", hint="What to do.")


@pytest.mark.parametrize("error", list(all_kinds()), ids=lambda error: type(error).__name__)
def test_every_error_survives_pickling_and_copying(error: PostbearerError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert (type(other), str(other), other.args) == (type(error), str(error), error.args)
        assert vars(other).keys() == vars(error).keys()


def test_the_receipt_and_the_time_go_with_it() -> None:
    rejected = pickle.loads(pickle.dumps(SPECIAL[Rejected]))
    assert (rejected.receipt, rejected.hint) == (GONE, "Correct the address.")
    assert pickle.loads(pickle.dumps(SPECIAL[BudgetSpent])).retry_at == 1.5
    first, _ = pickle.loads(pickle.dumps(SPECIAL[ConfigErrors])).problems
    assert (first.file, first.line) == ("a.toml", 3)


def test_l7_a_refused_token_stays_in_its_process() -> None:
    refused = LoginRefused("The server refused it.", account="alerts", hint="Sign in again.")
    refused.token = Token(Secret("canary-5f1d0c"), 3600.0, 0.0, "")
    pickled = pickle.dumps(refused)
    assert b"canary" not in pickled
    assert (str(pickle.loads(pickled)), refused.token is not None) == (str(refused), True)


def test_a_pool_of_workers_goes_on_after_a_rejection() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for _ in range(2):
            with pytest.raises(Rejected, match="gone@"):
                pool.submit(GONE.raise_for_refused).result(timeout=60)
