"""What every `Persistence` does: the same tests for each, with two who share it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from postbearer.errors import TokenUnavailable, UsageError
from postbearer.oauth import StoredGrant
from postbearer.secret import Secret
from postbearer.state import Charge, ChargeHistory, Persistence, StateFolder, chosen
from postbearer.testing import ManualClock
from support.persisting import EACH, PERSISTENCES, Opening

KEPT = StoredGrant(access=Secret("canary-access"), refresh=Secret("canary-refresh"), origin="digest")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=EACH)
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    return PERSISTENCES[request.param](request, tmp_path)


def at_once(past: ChargeHistory, now: float) -> float:
    return now


async def count(state: Persistence, mailbox: str, clock: ManualClock) -> int:
    return await state.ledger(mailbox, "alerts", clock=clock).look(lambda past, now: len(past))


async def test_tokens_are_shared_by_account_and_binding(opening: Opening, clock: ManualClock) -> None:
    assert await opening().token_store("alerts", "b", clock=clock).save(KEPT)
    kept = await opening().token_store("alerts", "b", clock=clock).load()
    assert (kept.refresh, kept.version) == (KEPT.refresh, 1)
    for account, binding in (("alerts", "other"), ("billing", "b")):
        other = await opening().token_store(account, binding, clock=clock).load()
        assert (other.access, other.refresh) == (None, None)


async def test_one_of_all_who_share_holds_the_lock(opening: Opening, clock: ManualClock) -> None:
    ran: list[str] = []

    async def hold(name: str) -> None:
        async with opening().token_store("alerts", "b", clock=clock).lock():
            ran.append(f"{name} in")
            await asyncio.sleep(0)
            ran.append(f"{name} out")

    await asyncio.gather(*(hold(str(number)) for number in range(4)))  # their waiting moves the clock
    assert [each.split()[1] for each in ran] == ["in", "out"] * 4


async def test_who_cannot_have_the_lock_in_time_is_told(opening: Opening, clock: ManualClock) -> None:
    async with opening().token_store("alerts", "b", clock=clock).lock():

        async def second() -> None:
            async with opening().token_store("alerts", "b", clock=clock).lock():
                raise AssertionError

        waiting = asyncio.create_task(second())
        while not waiting.done():
            await asyncio.sleep(0)
            clock.advance(10.0)
        with pytest.raises(TokenUnavailable):
            await waiting


def test_of_two_who_sign_in_at_once_the_second_is_told(opening: Opening, clock: ManualClock) -> None:
    first, second = (opening().token_store("alerts", "b", clock=clock) for _ in range(2))
    first.prepare()
    for _ in range(2):  # and may begin once the first is done
        with first.signing_in():
            with pytest.raises(TokenUnavailable, match="alerts already") as told, second.signing_in():
                raise AssertionError
            assert told.value.code == "busy"
    with second.signing_in():
        pass


async def test_charges_are_shared_by_mailbox_whatever_the_account(
    opening: Opening, clock: ManualClock
) -> None:
    for account in ("alerts", "billing"):
        charge = await opening().ledger("one@example.org", account, clock=clock).charge(1, at_once)
        assert isinstance(charge, Charge)
    assert await count(opening(), "one@example.org", clock) == 2
    assert await count(opening(), "other@example.org", clock) == 0


async def test_a_document_is_replaced_as_a_whole(opening: Opening) -> None:
    opening().writable()
    document = opening().document("notices")
    assert await document.read() is None
    for data in (b"first, and longer", b"second"):
        await document.write(data)
        assert await opening().document("notices").read() == data
    assert await opening().document("others").read() is None
    await document.put_aside()
    assert await opening().document("notices").read() is None
    assert document.place


def test_a_program_may_choose_any_of_them(opening: Opening) -> None:
    state = opening()
    assert chosen(state) is state


@pytest.mark.parametrize("wrong", ["/var/lib/state", object(), 5])
def test_what_keeps_nothing_is_no_choice(wrong: object) -> None:
    with pytest.raises(UsageError, match="state cannot be"):
        chosen(wrong)  # type: ignore[arg-type]


def test_the_usual_choice_is_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBEARER_STATE", str(tmp_path / "here"))
    folder = chosen(None)
    assert isinstance(folder, StateFolder)
    assert folder.path == str(tmp_path / "here")
