"""Every method answers what its schema says, to those who may ask; who changed what is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator

from postbearer.assembly import Assembly
from postbearer.cli.output import TIMES
from postbearer.config import Configuration, Settings
from postbearer.control import (
    METHODS,
    AlertStatus,
    EditingSettings,
    LogPage,
    LogQuery,
    Operations,
    Principal,
    Right,
    SharedEdits,
    TokenStatus,
    WayIn,
    WebhookReplayed,
    WebhookStatus,
    WebhookTested,
    of_this_process,
    perform,
)
from postbearer.control.answers import DiagnosisResult, Time, encode
from postbearer.diagnosis import Command, Finding, Step
from postbearer.engine import Submitter
from postbearer.errors import NotPermitted, UsageError
from postbearer.events import OperatorAction
from postbearer.forecast import DAY, Facts
from postbearer.log import sentence
from postbearer.oauth import TokenResponse
from postbearer.state import StateFolder
from postbearer.store import JobAction, Query
from support.relay import Ears, Relay, account, relaying

ME = of_this_process()
ANNA = Principal("anna", "uid 1000", frozenset(Right))


class Process:
    """A relay's process that only says that it did."""

    async def reload(self) -> None:
        """It did."""

    async def examine(self, account: str, send_to: str) -> DiagnosisResult:
        command = Command(line="x", does="y")
        finding = Finding(
            step=Step.AUTH, ok=False, text="no", commands=(command,), details={"until": {1, 2}, "n": 1}
        )
        return DiagnosisResult(
            file="x.toml", accounts=(account,), findings=(finding,), conversations=(("S: 220",),)
        )

    def stop(self) -> None:
        """It did."""


class Calls:
    """Webhooks that only say how they are."""

    async def list(self) -> tuple[WebhookStatus, ...]:
        return (await self.enable("alerts"),)

    async def test(self, name: str) -> WebhookTested:
        return WebhookTested(
            name=name, id="evt_1", arrived=False, status=None, error="no", hint="", seconds=0.1, said=""
        )

    async def replay(self, name: str, first: int, since: float | None, message: str) -> WebhookReplayed:
        return WebhookReplayed(name=name, events=2, first=first)

    async def enable(self, name: str) -> WebhookStatus:
        return WebhookStatus(
            name=name,
            place="ops.example.org",
            state="failing",
            events=("message.failed",),
            accounts=(),
            clients=("app",),
            waiting=2,
            age=3.5,
            arrived=None,
            since=1_800_000_000.0,
            error="It answered 500.",
            tried_again=1_800_000_005.0,
            dropped=0,
        )


class Desk:
    """As a relay has them that has an HTTP API."""

    def statuses(self, now: float) -> tuple[TokenStatus, ...]:
        return (
            TokenStatus(
                name="alerts",
                scopes=("read",),
                client="",
                made=now,
                expires=None,
                expired=False,
                last_used=now,
                requests=1,
                failures=0,
                failure="",
            ),
        )

    def revoke(self, name: str) -> None:
        assert name == "alerts"

    def status(self) -> AlertStatus:
        return AlertStatus(channels=("mail",), open=(), waiting=(), told=())

    def page(self, asked: LogQuery) -> LogPage:
        return LogPage(lines=(), last=0)


async def tried(name: str) -> bool:
    return True


FILE = "\n".join(
    f'[accounts.{name}]\nprovider = "smtp"\naddress = "{name}@example.org"\nservers = ["127.0.0.1:1"]\n'
    'authentication = "none"\ntls = "none-loopback"\n'
    for name in ("alerts", "idle")
)


def operations(relay: Relay, folder: Path | None = None) -> tuple[Operations, Ears]:
    """In `folder`, accounts can be edited."""
    ears, editing = Ears(), None
    if folder is not None:
        path = folder / "postbearer.toml"
        path.touch(mode=0o600)
        path.write_text(FILE)
        assembly = Assembly.load(path, {}, StateFolder(folder / "state"))
        editing = EditingSettings(assembly=assembly, common=SharedEdits())

    async def foresee() -> dict[str, Facts]:
        return {"alerts": Facts(account="alerts", dated={"client-secret": relay.clock.now() + 6 * DAY})}

    return Operations(
        *(relay.spool, relay.clock, relay.dispatcher, ("alerts", "idle"), foresee, tried),
        process=Process(),
        observer=ears,
        webhooks=Calls(),
        tokens=Desk(),
        alerts=Desk(),
        log=Desk(),
        configuration=Configuration(Settings(), "x.toml", "", {"accounts": {}}),
        console=lambda: "http://127.0.0.1:2580/console/login?code=once",
        editing=editing,
        way_in=WayIn(relay.intake, lambda name: Submitter(name=name), lambda client: True),
    ), ears


EDITED = {
    "accounts.add": "new",
    "accounts.change": "idle",
    "accounts.preview": "idle",
    "accounts.put-back": "idle",
    "accounts.rename": "idle",
    "accounts.remove": "idle",
}


def given(name: str, message: str, job: str = "j1") -> dict[str, Any]:
    fields = [each.name for each in msgspec.structs.fields(METHODS[name].takes)]
    values = {"message": message, "name": "alerts", "job": job, "action": "hold", "count": 1}
    if name == "queue.move":
        values["account"] = "spare"
    if name in EDITED:  # one that no mail waits for
        values |= {"name": "idle", "to": "other", "settings": {"timeout": "30s"}}
    if name == "accounts.add":
        values |= {"name": "new", "settings": {"address": "new@example.org"}, "like": "idle"}
    return {each: values[each] for each in fields if each in values}


async def a_job(on: Operations) -> str:
    """The id of one that has not ended."""
    begun = await on.jobs.start(JobAction.HOLD, Query(), count=1, by=of_this_process())
    assert isinstance(begun.id, str)
    return begun.id


def validator(name: str) -> Draft202012Validator:
    schema = msgspec.json.schema(METHODS[name].answers)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("name", [each for each in METHODS if each != "accounts.token"])
async def test_an_answer_is_what_its_schema_says(name: str, paused: bool, tmp_path: Path) -> None:
    async with relaying(account(), account("spare")) as relay:
        relay.providers["alerts"].answers = ["451 4.7.1 later"]
        message = await relay.submit("anna@example.net", "ben@example.net")
        await relay.settle()
        on, _ = operations(relay, tmp_path)
        if paused:
            await on.accounts.pause("alerts", by=ANNA)
        if name == "accounts.put-back":
            await perform(on, ME, "accounts.change", given("accounts.change", message))
        answer = await perform(on, ANNA, name, given(name, message, await a_job(on)))
    octets = encode(answer)
    validator(name).validate(json.loads(octets))
    assert encode(msgspec.json.decode(octets, type=METHODS[name].answers)) == octets


def test_a_token_is_what_its_schema_says_and_is_shown_to_nobody_else() -> None:
    told = TokenResponse(account="alerts", access_token="hidden", expires_in=60, scope="")
    validator("accounts.token").validate(json.loads(encode(told)))
    assert "hidden" not in repr(told)


def points_in_time(schema: Any, name: str = "") -> set[str]:
    """The fields of a schema, at any depth, that are points in time."""
    match schema:
        case {"format": "unix-time"}:
            return {name}
        case dict():
            own = schema.get("properties", {})
            inner = {key: value for key, value in schema.items() if key != "properties"}
            return {
                each
                for key, value in (*own.items(), *((name, value) for value in inner.values()))
                for each in points_in_time(value, key)
            }
        case list():
            return {each for value in schema for each in points_in_time(value, name)}
        case _:
            return set()


def test_commands_write_every_point_in_time_as_one() -> None:
    assert get_args(Time)[0] is float
    found = {each for name in METHODS for each in points_in_time(msgspec.json.schema(METHODS[name].answers))}
    assert found >= {"accepted", "expires", "due", "since", "at", "began"}
    assert found <= TIMES


@pytest.mark.parametrize("right", Right)
async def test_a_method_is_for_those_who_have_its_right(right: Right) -> None:
    one = Principal("ben", "uid 1001", frozenset({right}))
    async with relaying() as relay:
        message = await relay.submit()
        on, ears = operations(relay)
        for name, method in METHODS.items():
            if method.needs is not right:
                with pytest.raises(NotPermitted, match=f'ben .* needs the right "{method.needs}"'):
                    await perform(on, one, name, given(name, message))
        assert ears.events == []
        with pytest.raises(UsageError, match="no act"):
            await perform(on, one, "queue.shrink", {})


CHANGES = {
    "tokens.revoke": "revoke token by anna (uid 1000), alerts",
    "queue.hold": "ID: hold by anna (uid 1000), 1 recipient",
    "queue.release": "ID: release by anna (uid 1000), 1 recipient",
    "queue.retry": "ID: retry by anna (uid 1000), 1 recipient",
    "queue.cancel": "ID: cancel by anna (uid 1000), 1 recipient",
    "queue.resend": "ID: resend by anna (uid 1000), as NEW, 1 recipient",
    "queue.move": "ID: move by anna (uid 1000), from alerts, 1 recipient",
    "jobs.cancel": f"hold by {ME.name} ({ME.known_by}), job JOB: 0 of 1 messages",
    "accounts.pause": "pause by anna (uid 1000)",
    "accounts.resume": "resume by anna (uid 1000)",
    "accounts.add": "add account by anna (uid 1000), provider, address, servers, tls, authentication",
    "accounts.change": "change account by anna (uid 1000), timeout",
    "accounts.put-back": "put back account by anna (uid 1000), timeout",
    "accounts.rename": "rename account by anna (uid 1000), other",
    "accounts.remove": "remove account by anna (uid 1000)",
    "accounts.changed": "try again by anna (uid 1000)",
    "webhooks.test": "test webhook by anna (uid 1000), alerts",
    "webhooks.replay": "ID: replay webhook by anna (uid 1000), alerts from 0",
    "webhooks.enable": "enable webhook by anna (uid 1000), alerts",
    "relay.reload": "reload by anna (uid 1000)",
    "relay.stop": "stop by anna (uid 1000)",
}


@pytest.mark.parametrize("name", [each for each in METHODS if each != "accounts.token"])
async def test_who_changed_what_is_told_and_who_looked_is_not(name: str, tmp_path: Path) -> None:
    async with relaying(account(), account("spare")) as relay:
        relay.providers["alerts"].answers = ["451 4.7.1 later"]
        message = await relay.submit()
        await relay.settle()
        on, ears = operations(relay, tmp_path)
        job = await a_job(on)
        if name == "queue.release":
            await on.messages.hold(message, by=of_this_process())
            ears.events.clear()
        if name == "accounts.resume":
            await on.accounts.pause("alerts", by=ME)
            ears.events.clear()
        if name == "accounts.put-back":
            await perform(on, ME, "accounts.change", given("accounts.change", message))
            ears.events.clear()
        before = len(await relay.spool.audit.read(None, 100))
        await perform(on, ANNA, name, given(name, message, job))
        told = [sentence(each).replace(message, "ID").replace(job, "JOB") for each in ears.events]
        told = [re.sub(r"\bas \w{10,}", "as NEW", each) for each in told]
        recorded = (await relay.spool.audit.read(None, 100))[: -before or None]
    assert told == ([CHANGES[name]] if name in CHANGES else [])
    whose = {"queue.move": "spare", **dict.fromkeys((each for each in METHODS if "acc" in each), "alerts")}
    whose |= EDITED
    assert {each.account for each in ears.events} <= {whose.get(name, "")}
    assert len(recorded) == (name in CHANGES or name == "jobs.start")


async def test_what_changed_nothing_is_told_to_nobody() -> None:
    async with relaying() as relay:
        message = await relay.submit()
        await relay.settle()
        on, ears = operations(relay)
        assert (await on.messages.hold(message, by=ANNA)).changed == 0
        assert ears.events == []


async def test_a_check_that_sends_says_to_whom() -> None:
    async with relaying() as relay:
        on, ears = operations(relay)
        await on.check("alerts", "you@example.org", by=ANNA)
        (event,) = ears.events
        assert isinstance(event, OperatorAction)
        assert re.fullmatch(r"check to you@example\.org by anna \(uid 1000\)", sentence(event))


async def test_a_page_says_where_the_next_one_begins() -> None:
    async with relaying() as relay:
        on, _ = operations(relay)
        await on.accounts.pause("alerts", by=ANNA)
        ids = [await relay.submit() for _ in range(5)]
        found, after, pages = [], "", []
        while True:
            page = await perform(on, ANNA, "queue.list", {"limit": 2, "after": after})
            found += [each.id for each in page.messages]
            pages.append((len(page.messages), page.more, page.limit))
            if not page.more:
                break
            after = page.cursor
        assert found == ids
        assert pages == [(2, True, 2), (2, True, 2), (1, False, 2)]
        assert page.cursor == ""
