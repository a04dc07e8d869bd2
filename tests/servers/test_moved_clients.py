"""Programs written for hosted mail APIs send by the relay: their SDKs as they are, at another address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

import pytest

from house.reader import blocks
from house.tree import ROOT
from postbearer.store import Query
from support.hosted import Hosted, hosted

from . import nodejs
from .processes import missing

PAGE = ROOT / "docs" / "how-to" / "move-from-a-hosted-mail-api.md"
pytestmark = pytest.mark.servers


@pytest.fixture(params=["http", "https"])
async def relay(request: pytest.FixtureRequest) -> AsyncIterator[Hosted]:
    async with hosted(request.param) as made:
        yield made


@pytest.fixture
def node() -> str:
    program = nodejs.node()
    if program is None or not (nodejs.FOLDER / "node_modules" / "postmark").exists():
        missing(f"the SDKs for Node are not installed: {nodejs.INSTALL}")
    return str(program)


def check_full(recipients: tuple[str, ...], message: EmailMessage, cid: str = "logo") -> None:
    """That a message has all that the programs give to the first one."""
    assert sorted(recipients) == [f"{name}@example.org" for name in ("copy", "hidden", "other", "you")]
    assert (message["from"], message["to"]) == (
        "Shop <alerts@example.org>",
        "You <you@example.org>, other@example.org",
    )
    assert (message["cc"], message["bcc"], message["reply-to"]) == (
        "copy@example.org",
        None,
        "help@example.org",
    )
    assert (message["subject"], message["x-order"]) == ("1 Grüße", "17")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert (text.get_content().strip(), f"cid:{cid}" in html.get_content()) == ("Hallo", True)
    files = {part.get_filename(): part for part in message.walk() if part.get_filename()}
    assert files["r.csv"].get_payload(decode=True) == b"a;b\n"
    assert files["report"].get_content_type() == "application/pdf"
    assert files["report"].get_payload(decode=True) == b"%PDF"
    assert files["logo.png"]["content-id"] == f"<{cid}>"
    assert files["logo.png"].get_content() == b"\x89PNG"


async def test_resend_for_node(relay: Hosted, node: str) -> None:
    told = await relay.run(node, nodejs.FOLDER / "resend.mjs", RESEND_BASE_URL=relay.url)
    (full, *rest) = await relay.arrived(4)
    check_full(*full)
    assert [str(message["subject"]) for _, message in rest] == ["2", "3", "4"]
    assert told["first"]["data"]["id"] == told["again"]["data"]["id"] == told["seen"]["data"]["id"]
    seen = told["seen"]["data"]
    assert (seen["subject"], seen["bcc"]) == ("1 Grüße", ["hidden@example.org"])
    assert seen["last_event"] in ("queued", "sent")
    assert told["again"]["headers"]["idempotent-replayed"] == "true"
    assert len(told["batch"]["data"]["data"]) == 2
    assert (len(told["some"]["data"]["data"]), told["some"]["data"]["errors"][0]["index"]) == (1, 1)
    errors = {
        name: (each["error"]["statusCode"], each["error"]["name"])
        for name, each in told.items()
        if each["error"]
    }
    assert errors.pop("cancelled", (422, "validation_error")) == (422, "validation_error")  # it may have left
    assert errors == {
        "other": (409, "invalid_idempotent_request"),
        "template": (422, "validation_error"),
        "to": (422, "validation_error"),
        "key": (403, "invalid_api_key"),
        "none": (404, "not_found"),
    }
    assert "`template`" in told["template"]["error"]["message"]
    assert "`to[0]`" in told["to"]["error"]["message"]


async def test_resend_for_python(relay: Hosted) -> None:
    told = await relay.python("resend_sdk.py")
    (full, *rest) = await relay.arrived(4)
    check_full(*full)
    assert [str(message["subject"]) for _, message in rest] == ["2", "3", "4"]
    assert told["ids"][0] == told["ids"][1] == told["seen"]["id"]
    assert len(set(told["batch"])) == 2
    assert (told["some"][0], told["some"][1][0]["index"]) == (1, 1)
    assert told["seen"]["bcc"] == ["hidden@example.org"]
    assert told["template"][:3] == ["ValidationError", 422, "validation_error"]
    assert told["to"][3].startswith("`to[0]`: 'you' is not a mail address")
    assert told["key"][:3] == ["InvalidApiKeyError", 403, "invalid_api_key"]


async def test_postmark_for_node(relay: Hosted, node: str) -> None:
    told = await relay.run(node, nodejs.FOLDER / "postmark.mjs")
    (full, *rest) = await relay.arrived(3)
    check_full(*full)
    assert [str(message["subject"]) for _, message in rest] == ["2", "3"]
    assert (told["first"]["ErrorCode"], told["first"]["To"]) == (
        0,
        "You <you@example.org>, other@example.org",
    )
    assert await relay.running.spool.show(told["first"]["MessageID"]) is not None
    assert [each["ErrorCode"] for each in told["batch"]] == [0, 0, 300]
    assert told["batch"][2]["Message"].startswith("`To`: 'you' is not a mail address")
    wrong = {
        name: (each["name"], each["code"]) for name, each in told.items() if name not in ("first", "batch")
    }
    assert wrong == {
        "template": ("InvalidEmailRequestError", 300),
        "sender": ("InvalidEmailRequestError", 300),
        "token": ("InvalidAPIKeyError", 10),
    }
    assert told["template"]["message"].startswith("`TemplateId`: There are no templates")


async def test_postmark_for_python(relay: Hosted) -> None:
    told = await relay.python("postmark_client.py")
    (full, *rest) = await relay.arrived(3)
    check_full(*full)
    assert [str(message["subject"]) for _, message in rest] == ["2", "3"]
    assert told["first"]["ErrorCode"] == 0
    assert [each["ErrorCode"] for each in told["batch"]] == [0, 0, 300]
    assert told["tracked"] == [
        300,
        "[300] `TrackOpens`: Nothing is tracked here: leave it out, or say false.",
    ]
    assert told["links"][1].startswith("[300] `TrackLinks`")
    assert told["token"][0] == 10


@pytest.mark.parametrize("backend", ["resend", "postmark", "sendgrid"])
async def test_django_anymail(relay: Hosted, backend: str) -> None:
    told = await relay.python("anymail_backends.py", BACKEND=backend)
    (full, *rest) = await relay.arrived(3)
    check_full(*full, cid=told["cid"])
    assert sorted(recipients for recipients, _ in rest) == [("a@example.org",), ("b@example.org",)]
    if backend != "sendgrid":
        assert [each["x-for"] for recipients, each in rest if recipients == ("a@example.org",)] == ["a"]
    assert set(told["first"].values()) == {"queued"}
    assert len(set(told["ids"])) == 2
    assert told["refused"].startswith("400" if backend == "sendgrid" else "422")
    tags = {tag for each in await relay.running.spool.search(Query()) for tag in each.message.tags}
    named = {"resend": set(), "postmark": {("tag", "welcome")}, "sendgrid": {("category", "welcome")}}
    assert {tag for tag in tags if tag[1] == "welcome"} == named[backend]
    assert (("order", "17") in tags) is (backend != "resend")  # there they are header fields


def check_sendgrid(told: dict[str, Any], recipients: list[tuple[str, ...]]) -> None:
    assert (told["first"][0], told["second"][0]) == (202, 202)
    assert len(told["first"][1].split(",")) == 1
    assert len(told["second"][1].split(",")) == 2
    assert sorted(recipients) == [("a@example.org",), ("b@example.org",)]
    wrong = {name: told[name] for name in ("template", "to", "key")}
    assert {name: (status, said["errors"][0]["field"]) for name, (status, said) in wrong.items()} == {
        "template": (400, "template_id"),
        "to": (400, "personalizations.0.to.0.email"),
        "key": (401, None),
    }


async def test_sendgrid_for_node(relay: Hosted, node: str) -> None:
    told = await relay.run(node, nodejs.FOLDER / "sendgrid.mjs")
    (full, *rest) = await relay.arrived(3)
    check_full(*full)
    check_sendgrid(told, [recipients for recipients, _ in rest])


async def test_sendgrid_for_python(relay: Hosted) -> None:
    told = await relay.python("sendgrid_sdk.py")
    (full, *rest) = await relay.arrived(3)
    check_full(*full)
    check_sendgrid(told, [recipients for recipients, _ in rest])


async def test_the_programs_for_node_on_the_page(node: str) -> None:
    """`tests/house/test_docs.py` runs the others."""
    programs = [block for block in blocks(PAGE.read_text()) if block.language == "js"]
    async with hosted("http") as relay:
        place = relay.url.removeprefix("http://")
        for program in programs:
            text = program.text.replace("127.0.0.1:2580", place)
            await relay.run(
                node, "--input-type=module", "-e", text + "\nconsole.log(true)", folder=nodejs.FOLDER
            )
        found = await relay.arrived(len(programs))
    assert [str(message["subject"]) for _, message in found] == [
        *("From Postmark for Node", "From Resend for Node", "From SendGrid for Node")
    ]
