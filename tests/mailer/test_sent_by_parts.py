"""A message given by its parts: what leaves, what is refused, and in which words."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest

from postbearer.blocking import Mailer
from postbearer.errors import UsageError
from postbearer.mailer import AsyncMailer
from postbearer.testing import AsyncRecordingMailer, RecordingMailer, Sandbox

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def sent(**parts: Any) -> EmailMessage:
    mailer = RecordingMailer()
    mailer.send(**parts)
    return mailer.messages[0].message


def test_two_lines_send_a_message(sandbox: Sandbox) -> None:
    with Mailer(sandbox.account(), state="memory") as mailer:
        receipt = mailer.send(to="you@example.org", subject="Grüße", text="It works.\n")
    (received,) = sandbox.inbox.messages
    message = cast(EmailMessage, message_from_bytes(received.content.replace(b"\r\n", b"\n"), policy=default))
    assert receipt.queue_id == received.id
    assert (message["From"], message["To"]) == ("alerts@example.org", "you@example.org")
    assert (message["Subject"], message.get_content()) == ("Grüße", "It works.\n")
    assert message["Date"]
    assert message["Message-ID"] == receipt.message_id


async def test_the_same_awaited(sandbox: Sandbox) -> None:
    async with AsyncMailer(sandbox.account(), state="memory") as mailer:
        await mailer.send(to=["you@example.org"], subject="Hello", text="It works.")
    assert sandbox.inbox.messages[0].recipients == ("you@example.org",)


def test_everything_that_can_be_said_arrives(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "logo.png").write_bytes(PICTURE)
    mailer = RecordingMailer()
    mailer.send(
        to="You <you@example.org>, me@example.org",
        cc=["ops@example.org"],
        bcc="boss@example.org",
        reply_to="help@example.org",
        sender="Alerts <alerts@example.org>",
        subject="Report",
        text="See the table.",
        html='<p>See <img src="cid:logo"> and <img src="cid:two"></p>',
        attach=[tmp_path / "r.csv", str(tmp_path / "r.csv"), ("notes.txt", bytearray(b"note"))],
        inline={"logo": tmp_path / "logo.png", "two": ("two.gif", b"GIF89a")},
        headers={"X-Job": "nightly"},
    )
    (recorded,) = mailer.messages
    message = recorded.message
    everyone = ("you@example.org", "me@example.org", "ops@example.org", "boss@example.org")
    assert recorded.recipients == everyone
    assert message["Bcc"] is None
    assert (message["Reply-To"], message["X-Job"]) == ("help@example.org", "nightly")
    assert message["From"] == "Alerts <alerts@example.org>"
    names = [part.get_filename() for part in message.iter_attachments()]
    assert names == ["r.csv", "r.csv", "notes.txt"]
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content() == "See the table.\n"
    related = message.get_body(("related",))
    assert related is not None
    shown = {part["Content-ID"]: part for part in related.iter_attachments()}
    assert list(shown) == ["<logo>", "<two>"]
    assert shown["<logo>"].get_content() == PICTURE
    assert shown["<logo>"].get_content_type() == "image/png"
    assert shown["<logo>"].get_content_disposition() == "inline"


def test_html_alone_may_show_a_picture() -> None:
    message = sent(to="you@example.org", html='<img src="cid:a">', inline={"a": ("a.png", PICTURE)})
    assert message.get_content_type() == "multipart/related"


def test_a_subject_may_say_it_all() -> None:
    assert sent(to="you@example.org", subject="Disk full")["Subject"] == "Disk full"


YOU = {"to": "you@example.org"}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"subject": "x", "text": "y"}, r"at least one recipient"),
        ({"to": "", "text": "y"}, r"at least one recipient"),
        ({"to": "you", "text": "y"}, r"to: .*you.*the domain is missing"),
        ({"to": ["you@example.org", 5], "text": "y"}, r"to: 5 is no text"),
        ({"to": b"you@example.org", "text": "y"}, r"to: a list is wanted, and no bytes"),
        ({**YOU, "cc": "a b", "text": "y"}, r"^cc: "),
        ({**YOU, "sender": "a@example.org, b@example.org", "text": "y"}, r"sender: .* is not one mailbox"),
        ({**YOU, "text": b"y"}, r"text: a text is wanted, and no bytes"),
        ({**YOU, "text": "", "subject": "x"}, r"The message is empty"),
        ({**YOU, "text": " \n"}, r"The message is empty"),
        (YOU, r"The message is empty"),
        ({**YOU, "text": "y", "attach": "r.csv"}, r"attach: a list is wanted, and no str\. Write attach=\["),
        ({**YOU, "text": "y", "attach": ["/nowhere/r.csv"]}, r"attach: /nowhere/r.csv cannot be read"),
        ({**YOU, "text": "y", "attach": [("r.csv", "text")]}, r"attach: .* is no file"),
        ({**YOU, "text": "y", "attach": ["/"]}, r"attach: / cannot be read"),
        ({**YOU, "text": "y", "attach": ["a\0b"]}, r"attach: .* cannot be read"),
        ({**YOU, "text": "y", "inline": {"a": ("a.png", b"x")}}, r"inline: there is no html"),
        ({**YOU, "html": "y", "inline": {"a b": ("a.png", b"x")}}, r"cannot be the name of an inline file"),
        ({**YOU, "html": "y", "inline": [("a", "a.png")]}, r"inline: a dict by name is wanted"),
        ({**YOU, "text": "y", "headers": {"To": "x@example.org"}}, r"To has its own option"),
        ({**YOU, "text": "y", "headers": {"X": "a\nBcc: b@example.org"}}, r"X"),
        ({**YOU, "text": "y", "subject": "a\nBcc: b@example.org"}, r"Subject"),
        ({**YOU, "text": "y\udcff"}, r"text: its character 2 is half of one \(U\+DCFF\)"),
        ({**YOU, "text": "y", "headers": {"X-Job": 5}}, r"X-Job: a text is wanted, and no int"),
        ({**YOU, "text": "y", "attach": [("", b"x")]}, r"attach: .* is no file"),
        ({**YOU, "text": "y", "timeout": "5"}, r"timeout cannot be '5'"),
        ({**YOU, "text": "y", "retry": -1}, r"Retry\(times=-1.* cannot be"),
        ({**YOU, "text": "y", "atach": ["r.csv"]}, r"no part 'atach'\. Did you mean attach=\?"),
        ({**YOU, "body": "y"}, r"no part 'body'\. Did you mean text=\?"),
        ({**YOU, "colour": "y"}, r"no part 'colour'\. There are attach, bcc"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_argument(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        sent(**parts)


def test_parts_do_not_change_a_message_that_is_given() -> None:
    with pytest.raises(UsageError, match=r"^subject= is for a message that is made here"):
        cast(Any, RecordingMailer()).send(EmailMessage(), subject="x")


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match=r"send\(to=…, subject=…, text=…\)"):
        cast(Any, RecordingMailer()).send()


async def test_reading_a_file_that_is_not_there_is_told_to_those_who_await() -> None:
    mailer = AsyncRecordingMailer()
    with pytest.raises(UsageError, match="attach: nowhere"):
        await mailer.send(to="you@example.org", text="x", attach=["nowhere"])


def test_a_file_may_say_its_type() -> None:
    message = sent(to="you@example.org", text="hi", attach=[("r", b"a;\xfc", "text/csv; charset=iso-8859-1")])
    (part,) = message.iter_attachments()
    assert (part.get_content_type(), part.get_param("charset")) == ("text/csv", "iso-8859-1")
    with pytest.raises(UsageError, match="no media type"):
        sent(to="you@example.org", text="hi", attach=[("r", b"a", "csv")])
