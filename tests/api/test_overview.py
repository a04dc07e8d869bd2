"""The relay itself by HTTP: its nodes, the configuration without secrets, and who did what."""

from __future__ import annotations

import json
import time
from pathlib import Path

import apsw

from postbearer._version import __version__
from support.http_api import ACCOUNT, CLIENTS, HTTP, Api

SECRETS = """
[accounts.quiet]
provider = "microsoft"
address = "quiet@example.org"
tenant = "example.org"
grant = "client-credentials"
client-id = "00000000-0000-0000-0000-000000000000"
client-secret = "command:pass canary-argument"
proxy = "http://user:canary-password@127.0.0.1:3128"
[notify]
webhooks = ["https://hooks.example.org/canary-path?canary-query"]
command = ["/bin/true", "canary-word"]
heartbeat = "https://beat.example.org/canary-beat"
[[relay.clients]]
name = "secret"
username = "secret"
password-hash = "$argon2id$v=19$m=65536,t=3,p=4$Y2FuYXJ5c2FsdA$Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXI"
"""


async def test_an_account_tells_what_is_used_and_when_what_waits_will_be_gone(home: Path) -> None:
    limited = ACCOUNT + "[accounts.out.limits]\nmessages-per-minute = 30\nmessages-per-day = 100\n"
    api = Api(home, limited + CLIENTS + HTTP)
    await api.start()
    try:
        async with api.http(api.token("admin")) as client:
            quiet = (await client.get("/v1/accounts/out")).json()
            assert quiet["budget"] == {
                "messages_this_minute": 30,
                "messages_today": 100,
                "recipients_today": None,
            }
            assert quiet["budget_used"] == {
                "messages_this_minute": 0,
                "messages_today": 0,
                "recipients_today": None,
            }
            assert (quiet["backlog_gone_at"], quiet["limited_until"]) == (None, None)
            await client.post("/v1/accounts/out/pause")
            (paused,) = (await client.get("/v1/accounts")).json()["accounts"]
            assert (paused["paused_by"], paused["backlog_gone_at"]) == ("operator", None)
            document = (await client.get("/openapi.json")).json()
        told = document["components"]["schemas"]["AccountStatus"]["properties"]
        assert {"budget_used", "backlog_gone_at", "limited_until", "paused_by"} <= told.keys()
    finally:
        await api.running.stop(0.0)


async def test_a_node_tells_what_it_runs_and_since_when(api: Api) -> None:
    async with api.http(api.token("read")) as client:
        (node,) = (await client.get("/v1/nodes")).json()["nodes"]
    assert (node["version"], node["own"], node["alive"]) == (__version__, True, True)
    assert time.time() - 60 < node["since"] <= node["heartbeat"] < node["expires"]


async def test_the_configuration_is_shown_without_secrets(home: Path) -> None:
    text = ACCOUNT.replace("[relay]", '[relay]\naccount = "out"') + SECRETS + CLIENTS + HTTP
    api = Api(home, text)
    await api.start()
    try:
        async with api.http(api.token("admin")) as client:
            shown = await client.get("/v1/configuration")
            all_ = await client.get("/v1/configuration", params={"defaults": "true"})
            for answer in (shown, all_):
                assert answer.status_code == 200
                assert "canary" not in answer.text
                assert "Y2FuYXJ5" not in answer.text
            settings = shown.json()["settings"]
            assert settings["accounts"]["quiet"]["client-secret"] == "command:pass ***"
            assert settings["accounts"]["quiet"]["proxy"] == "http://user:***@127.0.0.1:3128"
            assert settings["notify"]["webhooks"] == ["https://hooks.example.org/***"]
            assert settings["notify"]["command"] == ["/bin/true", "***"]
            assert "size" not in settings["accounts"]["quiet"]
            assert all_.json()["settings"]["accounts"]["quiet"]["sender"] == "force"
            assert shown.json()["file"] == str(home / "postbearer.toml")
            api.text = text.replace("quiet@example.org", "new@example.org")
            assert "new@" not in (await client.get("/v1/configuration")).text
            await api.reload()
            assert "new@" in (await client.get("/v1/configuration")).text
    finally:
        await api.running.stop(0.0)


async def test_who_did_what_is_told_page_by_page(api: Api) -> None:
    async with api.http(api.token("admin")) as client:
        for _ in range(3):
            await client.post("/v1/accounts/out/pause")
            await client.post("/v1/accounts/out/resume")
        seen, asked = [], {"limit": "4"}
        while True:
            answer = await client.get("/v1/audit", params=asked)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            seen += page["entries"]
            if page["cursor"] is None:
                break
            asked["cursor"] = page["cursor"]
        assert [each["number"] for each in seen] == [6, 5, 4, 3, 2, 1]
        assert {(each["action"], each["by"], each["known_by"]) for each in seen} == {
            ("pause", "token t1", "API token"),
            ("resume", "token t1", "API token"),
        }
        for wrong in ("x", asked["cursor"][:-1] + "_", "A" * 1001):
            answer = await client.get("/v1/audit", params={"cursor": wrong})
            assert answer.status_code in (400, 422)
        told = (await client.post("/v1/audit/verify")).json()
        assert told == {"entries": 6, "wrong": None, "last": seen[0]["hash"]}


async def test_a_client_sees_nothing_of_it(api: Api) -> None:
    async with api.http(api.token("admin", client="shop")) as client:
        for path in ("/v1/nodes", "/v1/audit", "/v1/configuration"):
            assert (await client.get(path)).status_code == 403
        assert (await client.post("/v1/audit/verify")).status_code == 403


async def test_an_audit_that_somebody_changed_is_told(home: Path) -> None:
    api = Api(home)
    await api.start()
    async with api.http(api.token("admin")) as client:
        await client.post("/v1/accounts/out/pause")
    await api.running.stop(0.0)
    connection = apsw.Connection(str(home / "state" / "spool.db"))
    connection.execute("UPDATE audit SET by = 'nobody'")
    connection.close()
    await api.start()
    try:
        async with api.http(api.token("admin")) as client:
            told = (await client.post("/v1/audit/verify")).json()
            assert (told["entries"], told["wrong"]) == (0, 1)
            assert json.loads((await client.get("/v1/audit")).text)["entries"][0]["by"] == "nobody"
    finally:
        await api.running.stop(0.0)


async def test_staging_is_told_to_whoever_hands_mail_in(home: Path) -> None:
    api = Api(home)
    await api.start()
    try:
        async with api.http(api.token("read", client="shop")) as client:
            assert (await client.get("/v1/staging")).json() == {"staging": ""}
            staging = 'size = "5 MB"\nredirect-all-to = "test@example.org"'
            api.text = api.text.replace('size = "5 MB"', staging)
            await api.reload()
            told = (await client.get("/v1/staging")).json()
            assert told["staging"] == (
                "Staging mode: all mail goes to test@example.org instead of its recipients."
            )
        async with api.http(api.token("submit")) as client:
            assert (await client.get("/v1/staging")).status_code == 403
    finally:
        await api.running.stop(0.0)
