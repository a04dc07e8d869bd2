"""A password that was refused is sent again by nobody: not by the next call, process or command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from postbearer.errors import GrantRefused
from postbearer.oauth import CachedSource, Endpoint, GrantStore, Password, SparingPassword, StoredGrant
from postbearer.secret import Secret
from postbearer.secrets import source as secret
from postbearer.state import KeyFile, StateFolder, TokenFile
from support.tokenserver import TokenServer, said

Make = Callable[..., CachedSource]
WRONG = said(400, error="invalid_grant", error_description="AADSTS50126: invalid username or password")


def again(folder: StateFolder) -> TokenFile:
    """What another process opens."""
    return TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box)


def grant() -> Password:
    return Password("relay", "alerts@example.org", secret("env:PASSWORD"))


async def test_no_other_process_sends_a_refused_password_until_it_is_another(
    server: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "wrong")
    folder = StateFolder(tmp_path / "state")
    server.script.append(WRONG)
    for number in range(5):
        source = CachedSource(grant(), Endpoint(server.url), account="alerts", store=again(folder))
        with pytest.raises(GrantRefused, match="not tried again" if number else "AADSTS50126"):
            await source.token()
    assert len(server.asked) == 1
    monkeypatch.setenv("PASSWORD", "right")
    source = CachedSource(grant(), Endpoint(server.url), account="alerts", store=again(folder))
    assert (await source.token()).access == Secret("access-1")
    assert (await again(folder).load()).refused == ""


async def test_a_person_may_have_it_tried_again(
    make: Make, server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "right, but the mailbox was locked")
    server.script.append(WRONG)
    source = make(grant())
    for _ in range(2):
        with pytest.raises(GrantRefused):
            await source.token()
    await source.forgive()
    assert (await source.token()).access == Secret("access-1")


@pytest.mark.parametrize("suberror", ["consent_required", "basic_action"])
async def test_what_an_administrator_cures_is_no_fault_of_the_password(
    make: Make, server: TokenServer, monkeypatch: pytest.MonkeyPatch, suberror: str
) -> None:
    monkeypatch.setenv("PASSWORD", "right")
    server.script.append(said(400, error="invalid_grant", suberror=suberror))
    source = make(grant())
    with pytest.raises(GrantRefused):
        await source.token()
    assert (await source.token()).access == Secret("access-1")


async def test_what_is_remembered_tells_nothing_about_the_password(tmp_path: Path, store: GrantStore) -> None:
    """Two refusals of one password leave two digests, each under a key of its own."""
    marks = set()
    for _ in range(2):
        password = SparingPassword(secret("env:HOME"), store)
        await password.refused(await password.read())
        marks.add((await store.load()).refused)
        await password.forgive()
    assert len(marks) == 2


async def test_a_password_for_smtp_is_spared_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "wrong")
    folder = StateFolder(tmp_path / "state")
    first = SparingPassword(secret("env:PASSWORD"), again(folder), "alerts")
    await first.refused(await first.read())
    for _ in range(2):
        with pytest.raises(GrantRefused, match="alerts was refused and is not tried again") as caught:
            await SparingPassword(secret("env:PASSWORD"), again(folder), "alerts").read()
        assert folder.token("alerts") in caught.value.hint
    monkeypatch.setenv("PASSWORD", "right")
    assert await SparingPassword(secret("env:PASSWORD"), again(folder), "alerts").read() == Secret("right")


async def test_what_is_remembered_keeps_what_else_is_kept(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    await again(folder).save(StoredGrant(refresh=Secret("signed-in"), access=Secret("access")))
    password = SparingPassword(secret("env:HOME"), again(folder))
    await asyncio.gather(*(password.refused(Secret(f"wrong {n}")) for n in range(3)))
    kept = await again(folder).load()
    assert (kept.refresh, kept.access) == (Secret("signed-in"), Secret("access"))
    assert kept.refused
