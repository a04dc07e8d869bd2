"""Accounts added, changed, renamed and removed by HTTP: what the file holds then, and what the relay does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.control import FROM_ELSEWHERE, EditingSettings, Operations, Principal, Right, SharedEdits
from postbearer.daemon import embedded
from postbearer.errors import NotPermitted
from postbearer.events import OperatorAction
from postbearer.oauth import TokenAnswer, keep_sign_in
from postbearer.secret import Secret
from postbearer.store import Query
from support.editable import ConfigurationFile
from support.http_api import ACCOUNT, HTTP, Api

CANARY = "canary-Zy8~Q.1+abc"
EDITABLE = f'{HTTP}accounts = "editable"\n'
GOOD = {
    "provider": "microsoft",
    "address": "desk@example.org",
    "tenant": "example.org",
    "grant": "client-credentials",
    "client-id": "00000000-0000-0000-0000-000000000000",
}
HEAD = "# Mind this file.\n"


class Editable(Api, ConfigurationFile):
    """A relay that takes its configuration anew when it is told so."""

    def load(self) -> Assembly:
        path = self.home / "postbearer.toml"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(self.text.replace("{port}", str(self.dead_port)))
        return Assembly.load(path, {}, state=self.state)

    async def start(self) -> None:
        self.relay = embedded(self.load, observer=self.ears)
        await self.relay.start()


@pytest.fixture
async def api(home: Path, request: pytest.FixtureRequest) -> AsyncIterator[Editable]:
    text = ACCOUNT.replace("[relay]", '[relay]\naccount = "out"')
    made = Editable(home, HEAD + text + getattr(request, "param", EDITABLE))
    await made.start()
    yield made
    await made.running.stop(0.0)
    assert made.ears.defects == []
    assert CANARY not in repr(made.ears.events)
    assert CANARY not in made.file


@pytest.fixture
async def admin(api: Editable) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.http(api.token("admin")) as client:
        yield client


async def added(client: httpx2.AsyncClient, name: str = "desk", **more: Any) -> httpx2.Response:
    given = {"name": name, "settings": GOOD, "secrets": {"client-secret": CANARY}, **more}
    return await client.post("/v1/accounts", json=given)


async def test_an_account_is_added_and_lives_at_once(api: Editable, admin: httpx2.AsyncClient) -> None:
    before = api.file
    answer = await added(admin)
    assert (answer.status_code, answer.json()["name"], answer.json()["reloaded"]) == (201, "desk", True)
    assert CANARY not in answer.text
    assert api.file.startswith(before)  # comments and all else stay
    table = api.accounts["desk"]
    assert {key: table[key] for key in GOOD} == GOOD
    assert table["client-secret"].startswith("sealed:")
    source = api.load().secret_source(table["client-secret"])
    assert (await source.read()).reveal() == CANARY
    assert (await admin.get("/v1/accounts/desk")).json()["state"] == "ready"
    assert "desk" in api.running.dispatcher.account_states
    entry = (await admin.get("/v1/audit")).json()["entries"][0]
    assert (entry["action"], entry["account"]) == ("add account", "desk")
    assert "client-secret" in entry["detail"]
    assert oct(os.stat(api.home / "postbearer.toml").st_mode & 0o777) == "0o600"
    assert [each.action for each in api.ears.events if isinstance(each, OperatorAction)] == ["add account"]


async def test_a_usual_name_is_found(api: Editable, admin: httpx2.AsyncClient) -> None:
    assert (await added(admin, "")).json()["name"] == "desk"
    assert (await added(admin, "")).json()["name"] == "desk-2"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "Desk!"}, "/name", "lower case"),
    ({"settings": {**GOOD, "address": "desk"}}, "/settings/address", "user@example.org"),
    ({"settings": {**GOOD, "provider": "microsft"}}, "/settings/provider", "microsoft"),
    ({"settings": {**GOOD, "grant": "device"}}, "/settings/grant", "device-code"),
    ({"settings": {**GOOD, "tenant": "no tenant"}}, "/settings/tenant", "domain"),
    ({"settings": {**GOOD, "adress": "x"}}, "/settings/adress", "address"),
    ({"settings": {**GOOD, "timeout": None}}, "/settings/timeout", "Leave it out"),
    ({"settings": {**GOOD, "timeout": "a while"}}, "/settings/timeout", "1h 30m"),
    ({"settings": {**GOOD, "client-secret": "file:/etc/shadow"}}, "/settings/client-secret", "itself"),
    ({"settings": {**GOOD, "client-secret": "command:id"}}, "/settings/client-secret", "itself"),
    ({"settings": {**GOOD, "client-secret": "env:HOME"}}, "/settings/client-secret", "itself"),
    ({"settings": {**GOOD, "command": "id"}}, "/settings/command", "config set"),
    ({"settings": {**GOOD, "ca-file": "/etc/shadow"}}, "/settings/ca-file", "config set"),
    ({"settings": {**GOOD, "tls-certificate": "/x"}}, "/settings/tls-certificate", "config set"),
    ({"settings": {**GOOD, "proxy": "socks5://x:1"}}, "/settings/proxy", "config set"),
    ({"settings": {**GOOD, "x\n[relay]\nlisten": "y"}}, "/settings/x\n[relay]\nlisten", ""),
    ({"settings": {**GOOD, "fallback": "none"}}, "/settings/fallback", "out"),
    ({"secrets": {}}, "/settings/client-secret", "client-secret"),
    ({"secrets": {"client-secret": ""}}, "/secrets/client-secret", "Paste"),
    ({"secrets": {"client-secret": "a\nb"}}, "/secrets/client-secret", "alone"),
    ({"secrets": {"client-secret": GOOD["client-id"]}}, "/secrets/client-secret", "sure"),
    ({"secrets": {"client-secre": CANARY}}, "/secrets/client-secre", "client-secret"),
    ({"secrets": {"certificate": CANARY}}, "/secrets/certificate", ""),
    ({"like": "nobody", "settings": {"address": "x@example.org"}}, "/like", "out"),
]


@pytest.mark.parametrize(("given", "pointer", "hint"), WRONG)
async def test_what_is_wrong_is_told_beside_its_field(
    api: Editable, admin: httpx2.AsyncClient, given: dict[str, Any], pointer: str, hint: str
) -> None:
    before = api.file
    answer = await added(admin, **{"name": "desk", **given})
    told = answer.json()
    assert answer.status_code == 422, answer.text
    assert pointer.replace("\n", "\ufffd") in [
        each["pointer"].replace("\n", "\ufffd") for each in told["errors"]
    ]
    assert hint in told.get("hint", "")
    assert CANARY not in answer.text
    assert api.file == before
    assert [each for each in os.listdir(api.home) if each.startswith(".")] == []


async def test_all_that_is_wrong_is_told_at_once(api: Editable, admin: httpx2.AsyncClient) -> None:
    answer = await added(admin, settings={"provider": "microsoft", "address": "x"}, secrets={})
    pointers = {each["pointer"] for each in answer.json()["errors"]}
    assert {"/settings/address", "/settings/grant"} <= pointers
    assert ".toml" not in answer.text  # its lines are of no file that is there


async def test_a_name_that_exists_is_no_second_one(api: Editable, admin: httpx2.AsyncClient) -> None:
    before = api.file
    answer = await added(admin, "out")
    assert (answer.status_code, "Choose another" in answer.json()["hint"]) == (409, True)
    assert api.file == before


async def test_two_at_once_are_both_there_or_told(api: Editable, admin: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(added(admin, name) for name in ("one", "two", "two", "three")))
    assert sorted(each.status_code for each in answers) == [201, 201, 201, 409]
    assert set(api.accounts) == {"out", "one", "two", "three"}
    assert set(api.running.dispatcher.account_states) == {"out", "one", "two", "three"}


@pytest.mark.parametrize("api", [HTTP], indirect=True)
async def test_where_accounts_are_not_editable_the_way_is_told(
    api: Editable, admin: httpx2.AsyncClient
) -> None:
    before = api.file
    for answer in (
        await added(admin),
        await admin.patch("/v1/accounts/out", json={"settings": {"sender": "force"}}),
        await admin.delete("/v1/accounts/out"),
    ):
        assert (answer.status_code, "postbearer accounts" in answer.json()["hint"]) == (403, True)
    assert api.file == before


async def test_a_client_and_an_operator_may_not(api: Editable) -> None:
    for scope in ("read", "operate", "submit"):
        async with api.http(api.token(scope)) as client:
            assert (await added(client)).status_code == 403


async def test_who_shares_the_machine_may_name_files_and_others_not(api: Editable) -> None:
    """Where the configuration lets nobody change accounts, who may write it may all the same."""
    settings = EditingSettings(assembly=api.load(), editable=False, common=SharedEdits())
    editor = Operations(api.running.spool, SystemClock(), editing=settings).editor
    here, there = (Principal("x", "y", rights) for rights in (frozenset(Right), FROM_ELSEWHERE))
    with pytest.raises(NotPermitted):
        await editor.add("desk", GOOD, {"client-secret": CANARY}, by=there)
    await editor.add("desk", {**GOOD, "client-secret": "env:HOME"}, {}, by=here)
    assert api.accounts["desk"]["client-secret"] == "env:HOME"


async def test_a_further_mailbox_is_as_the_first(api: Editable, admin: httpx2.AsyncClient) -> None:
    await added(admin)
    second = {"name": "shop", "settings": {"address": "shop@example.org"}, "like": "desk", "secrets": {}}
    assert (await admin.post("/v1/accounts", json=second)).status_code == 201
    desk, shop = api.accounts["desk"], api.accounts["shop"]
    assert shop == {**desk, "address": "shop@example.org"}


async def test_scopes_are_shared_where_nobody_else_knows_them(
    api: Editable, admin: httpx2.AsyncClient
) -> None:
    place = {
        "provider": "smtp",
        "address": "desk@example.org",
        "servers": ["127.0.0.1:1"],
        "issuer": "https://login.example.org",
        "grant": "client-credentials",
        "client-id": "app",
        "scopes": ["smtp.send"],
    }
    assert (await added(admin, settings=place)).status_code == 201
    second = {
        "name": "shop",
        "settings": {"address": "shop@example.org", "grant": "device-code"},
        "like": "desk",
    }
    assert (await admin.post("/v1/accounts", json=second)).status_code == 201
    assert api.accounts["shop"]["scopes"] == ["smtp.send"]
    await added(admin, "ours", settings={**GOOD, "scopes": ["https://outlook.office365.com/.default"]})
    third = {**second, "name": "third", "like": "ours"}
    assert (await admin.post("/v1/accounts", json=third)).status_code == 201
    assert "scopes" not in api.accounts["third"]  # Microsoft's own are known for that grant


async def test_a_further_mailbox_takes_no_secret_elsewhere(api: Editable, admin: httpx2.AsyncClient) -> None:
    """Else who may add accounts could have the secret of another one sent to a server of theirs."""
    await added(admin)
    for key, value in (
        ("token-url", "https://evil.example.org/token"),
        ("issuer", "https://evil.example.org"),
        ("servers", ["evil.example.org:587"]),
        ("provider", "google"),
        ("tenant", "evil.example.org"),
    ):
        given = {"name": "x", "settings": {"address": "x@example.org", key: value}, "like": "desk"}
        answer = await admin.post("/v1/accounts", json=given)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/settings/{key}")
        answer = await admin.patch("/v1/accounts/desk", json={"settings": {key: value}})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/settings/{key}")
    assert set(api.accounts) == {"out", "desk"}


async def test_a_secret_is_renewed_and_a_key_taken_away(api: Editable, admin: httpx2.AsyncClient) -> None:
    await added(admin)
    before = api.accounts["desk"]["client-secret"]
    given = {"settings": {"timeout": "30s", "limits": {"connections": 1}}}
    assert (await admin.patch("/v1/accounts/desk", json=given)).status_code == 200
    assert api.accounts["desk"]["limits"] == {"connections": 1}
    assert api.running.dispatcher.account_states["desk"].account.limits.connections == 1
    given = {"settings": {"timeout": None}, "secrets": {"client-secret": f"{CANARY}2"}}
    assert (await admin.patch("/v1/accounts/desk", json=given)).status_code == 200
    table = api.accounts["desk"]
    assert ("timeout" in table, table["client-secret"] == before) == (False, False)
    wrong = await admin.patch("/v1/accounts/desk", json={"settings": {"address": None}})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/settings/address")


async def test_a_renamed_account_keeps_what_waits(api: Editable, admin: httpx2.AsyncClient) -> None:
    async with api.http(api.token("submit")) as client:
        for number in range(3):
            message = {
                "from": "alerts@example.org",
                "to": f"a{number}@example.org",
                "subject": "x",
                "text": "y",
            }
            assert (await client.post("/v1/messages", json=message)).status_code == 202
    await admin.post("/v1/accounts/out/pause")
    answer = await admin.patch("/v1/accounts/out", json={"name": "mail"})
    assert (answer.status_code, answer.json()["name"]) == (200, "mail"), answer.text
    assert set(api.accounts) == {"mail"}
    assert HEAD in api.file
    for _ in range(200):
        found = await api.running.spool.search(Query(account="mail"))
        if len(found) == 3:
            break
        await asyncio.sleep(0.02)
    assert len(found) == 3
    told = (await admin.get("/v1/accounts")).json()["accounts"]
    assert [(each["name"], each["state"]) for each in told] == [("mail", "paused")]
    assert (await admin.patch("/v1/accounts/mail", json={"name": "Not good"})).status_code == 422
    both = {"name": "x", "settings": {"sender": "force"}}
    assert (await admin.patch("/v1/accounts/mail", json=both)).status_code == 422


@pytest.mark.parametrize("timed", [False, True])
async def test_an_account_that_mail_waits_for_stays(
    api: Editable, admin: httpx2.AsyncClient, timed: bool
) -> None:
    """Also mail that waits for its time."""
    await added(admin)
    message = {"from": "alerts@example.org", "to": "a@example.org", "subject": "x", "text": "y"}
    if timed:
        message["send-at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with api.http(api.token("submit")) as client:
        identifier = (await client.post("/v1/messages", json=message)).json()["id"]
    moved = await admin.post(f"/v1/messages/{identifier}/move", json={"account": "desk"})
    assert moved.status_code == 200, moved.text
    await admin.post("/v1/accounts/desk/pause")
    answer = await admin.delete("/v1/accounts/desk")
    assert (answer.status_code, "queue move" in answer.json()["hint"]) == (409, True), answer.text
    await admin.post(f"/v1/messages/{identifier}/cancel")
    answer = await admin.delete("/v1/accounts/desk")
    assert answer.status_code == 200, answer.text
    assert set(api.accounts) == {"out"}
    assert [each["name"] for each in (await admin.get("/v1/accounts")).json()["accounts"]] == ["out"]
    assert (await admin.delete("/v1/accounts/desk")).status_code == 404


async def test_one_that_something_refers_to_stays(api: Editable, admin: httpx2.AsyncClient) -> None:
    await added(admin)
    given = {"settings": {"fallback": "out"}}
    assert (await admin.patch("/v1/accounts/desk", json=given)).status_code == 200
    before = api.file
    answer = await admin.delete("/v1/accounts/out")
    assert (answer.status_code, "fallback" in answer.text) == (422, True)
    assert api.file == before


async def test_the_old_file_is_back_when_the_relay_does_not_take_the_new_one(
    api: Editable, admin: httpx2.AsyncClient
) -> None:
    """Somebody changed what cannot change while the relay runs; the next edit must not be half of a thing."""
    path = api.home / "postbearer.toml"
    path.write_text(api.file.replace('listen = ["127.0.0.1:0"]\nallow', 'listen = ["127.0.0.1:1"]\nallow'))
    before = api.file
    answer = await added(admin)
    assert (answer.status_code, "Restart" in answer.text) == (422, True), answer.text
    assert api.file == before
    assert "desk" not in api.running.dispatcher.account_states
    entry = (await admin.get("/v1/audit")).json()["entries"][0]
    assert (entry["action"], bool(entry["result"])) == ("add account", True)


async def test_a_lost_key_is_told_and_nothing_is_written(api: Editable, admin: httpx2.AsyncClient) -> None:
    (api.home / "state" / "tokens").mkdir(exist_ok=True)
    (api.home / "state" / "tokens" / "other").write_text("{}")
    before = api.file
    answer = await added(admin)
    assert (answer.status_code, "backup" in answer.json()["hint"]) == (503, True), answer.text
    assert api.file == before


async def test_a_file_that_cannot_be_written_is_told(
    api: Editable, admin: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    before = api.file
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        answer = await added(admin)
    assert (answer.status_code, "No space" in answer.text) == (422, True)
    assert api.file == before
    assert [each for each in os.listdir(api.home) if each.startswith(".")] == []


async def test_a_new_account_has_no_sign_in_of_an_old_one(api: Editable, admin: httpx2.AsyncClient) -> None:
    """Who was signed in for, under the same name: the refresh token went with that account."""
    given = {**GOOD, "grant": "device-code"}
    assert (await added(admin, settings=given)).status_code == 201
    account = api.load().account("desk")
    store = account.token_store(api.load().persistence, clock=SystemClock())
    answer = TokenAnswer(Secret("a"), refresh=Secret("r"))
    await keep_sign_in(store, answer, now=1.0)
    assert (await admin.patch("/v1/accounts/desk", json={"name": "moved"})).status_code == 200
    moved = api.load().account("moved").token_store(api.load().persistence, clock=SystemClock())
    assert (await moved.load()).refresh is not None
    assert (await store.load()).refresh is None
    assert (await admin.delete("/v1/accounts/moved")).status_code == 200
    assert (await moved.load()).refresh is None
