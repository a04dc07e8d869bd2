"""Postmark's API, for its clients and for programs that were written for it: `/email`, `/email/batch`.

What it can say and we cannot do is refused by name; nothing is left out without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field
from starlette.responses import Response

from postbearer.api.batch import LARGEST, MOST, meaning_of, take_batch
from postbearer.api.composing import (
    MOST_FILES,
    Attachment,
    Author,
    Base64,
    ContentId,
    FileName,
    NewMessage,
    Subject,
    from_base64,
    gathered,
    said_type,
)
from postbearer.api.endpoint import WHOLE_MESSAGE, ApiEndpoint, Call
from postbearer.api.face import Face, handed_in, in_words, move, told_of
from postbearer.api.handing_in import IDEMPOTENCY_KEY, hand_in, key_of
from postbearer.api.problems import HttpProblem, TokenProblem, at
from postbearer.api.reading import parse_json
from postbearer.api.tokens import TokenScope

NOT_HONOURED: Mapping[str, str] = {  # by place, why and what to do
    "/InlineCss": "HTML leaves as it is: have its styles in it, and leave this out.",
    "/MessageStream": "There are no streams here but outbound: leave it out.",
    "/TemplateAlias": "There are no templates here: fill it in, and send HtmlBody and TextBody.",
    "/TemplateId": "There are no templates here: fill it in, and send HtmlBody and TextBody.",
    "/TemplateModel": "There are no templates here: fill it in, and send HtmlBody and TextBody.",
    "/TrackLinks": "Nothing is tracked here: leave it out, or say None.",
    "/TrackOpens": "Nothing is tracked here: leave it out, or say false.",
}


class PostmarkError(Struct, rename="pascal", frozen=True, kw_only=True):
    """What cannot be done; `ErrorCode` is one of Postmark's."""

    error_code: int
    message: str


BAD_TOKEN, INVALID, UNKNOWN_SENDER, TOO_MANY = 10, 300, 400, 410
CODES: Mapping[str, tuple[int, int]] = {  # kind of problem → status and code; others have the status as code
    "malformed": (422, 402),
    "invalid": (422, INVALID),
    "unsupported-media-type": (422, 409),
    "idempotency-key-reused": (422, INVALID),
    "in-progress": (503, 100),
    "unavailable": (503, 100),
    "no-room": (503, 100),
}


class TooMany(HttpProblem):
    """A batch is too large."""


def tell(problem: HttpProblem, request: str) -> tuple[int, PostmarkError]:
    status, code = CODES.get(problem.kind, (problem.status, problem.status))
    pointers = [fault.pointer for fault in problem.errors]
    match problem:
        case TokenProblem():
            status, code = 401, BAD_TOKEN
        case TooMany():
            code = TOO_MANY
        case HttpProblem(kind="forbidden") if pointers:
            status, code = 422, UNKNOWN_SENDER if "/From" in pointers else INVALID
    return status, PostmarkError(error_code=code, message=in_words(problem))


FACE = Face(
    name="postmark",
    below="/email",
    document=PostmarkError,
    tell=tell,
    header="X-Postmark-Server-Token",
    scheme="",
)


class PostmarkHeader(Struct, rename="pascal", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A further header field."""

    name: Annotated[str, Meta(max_length=1000)]
    value: Annotated[str, Meta(max_length=10_000)]


class PostmarkAttachment(Struct, rename="pascal", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file. With a content id the HTML shows it."""

    name: FileName
    content: Base64
    content_type: Annotated[str, Meta(max_length=255)] | None = None
    content_id: ContentId | None = field(default=None, name="ContentID")


class PostmarkRefused(Struct, rename="pascal", frozen=True, kw_only=True):
    """What cannot be honoured: it is taken where it asks for nothing."""

    inline_css: None = None
    message_stream: Literal["outbound"] | None = None
    template_alias: None = None
    template_id: None = None
    template_model: None = None
    track_links: Literal["None"] | None = None


class PostmarkEmail(PostmarkRefused, rename="pascal", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message. `To`, `Cc` and `Bcc` are mailboxes, separated by commas."""

    from_: Author = field(name="From")
    to: str | None = None
    cc: str | None = None
    bcc: str | None = None
    reply_to: str | None = None
    subject: Subject | None = None
    html_body: str | None = None
    text_body: str | None = None
    headers: Annotated[list[PostmarkHeader], Meta(max_length=100)] | None = None
    attachments: Annotated[list[PostmarkAttachment], Meta(max_length=MOST_FILES)] | None = None
    tag: str | None = None
    metadata: dict[str, str | int | float] | None = None
    track_opens: Annotated[bool, Meta(description="false")] | None = None


PostmarkEmails = Annotated[list[PostmarkEmail], Meta(min_length=1, max_length=MOST)]


class PostmarkAnswer(Struct, rename="pascal", frozen=True, kw_only=True):
    """The message is on the disk (queued), not sent yet; or, in a batch, why it is not."""

    to: str | UnsetType = UNSET
    submitted_at: str | UnsetType = UNSET
    message_id: str | UnsetType = field(default=UNSET, name="MessageID")
    error_code: int = 0
    message: str = "Message accepted, but delivery may be delayed."


_NAMES = {
    "from": "From",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "reply-to": "ReplyTo",
    "subject": "Subject",
    "text": "TextBody",
    "html": "HtmlBody",
    "headers": "Headers",
    "attachments": "Attachments",
    "filename": "Name",
    "content": "Content",
    "content-id": "ContentID",
    "content-type": "ContentType",
    "tags": "Metadata",
}
_WHOLE = ("To", "Cc", "Bcc", "ReplyTo")  # one text each


def _place(pointer: str) -> str:
    made: list[str] = []
    for step in pointer.split("/"):
        made.append(_NAMES.get(step, step))
        if made[-1] in _WHOLE or step == "headers":
            break
    return "/".join(made)


_told = partial(told_of, _place, NOT_HONOURED)


def _read(octets: bytes) -> tuple[PostmarkEmail, NewMessage]:
    with told_of(str, NOT_HONOURED):  # its own places
        given = parse_json(octets, PostmarkEmail)
    if given.track_opens:
        raise at("", pointer="/TrackOpens")
    if given.html_body is None and given.text_body is None:
        raise at("There is neither HtmlBody nor TextBody.", pointer="/HtmlBody")
    return given, NewMessage(
        from_=given.from_,
        to=given.to or [],
        cc=given.cc or [],
        bcc=given.bcc or [],
        reply_to=given.reply_to or [],
        subject=given.subject or "",
        text=given.text_body,
        html=given.html_body,
        attachments=[
            _file(each, f"/Attachments/{number}") for number, each in enumerate(given.attachments or ())
        ],
        headers=_headers(given.headers or ()),
        tags=gathered(
            [
                *([("tag", given.tag)] if given.tag else []),
                *((name, str(value)) for name, value in (given.metadata or {}).items()),
            ]
        ),
    )


def _file(given: PostmarkAttachment, pointer: str) -> Attachment:
    return Attachment(
        filename=given.name,
        content=from_base64(given.content, f"{pointer}/Content"),
        content_id=given.content_id.removeprefix("cid:") if given.content_id else None,
        content_type=said_type(given.name, given.content_type),
    )


def _headers(given: Sequence[PostmarkHeader]) -> dict[str, str]:
    made: dict[str, str] = {}
    for number, each in enumerate(given):
        if each.name in made:
            raise at("It is given twice.", pointer=f"/Headers/{number}/Name")
        made[each.name] = each.value
    return made


def _accepted(given: PostmarkEmail, identifier: str) -> PostmarkAnswer:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return PostmarkAnswer(to=given.to or UNSET, submitted_at=now, message_id=identifier)


async def send(call: Call) -> Response:
    """Take one message, and answer once it is on the disk."""
    with _told():
        given, message = _read(await call.request.body())
        identifier, repeated = await hand_in(call, message, key_of(call))
    return handed_in(_accepted(given, identifier), repeated=repeated)


async def send_batch(call: Call) -> Response:
    """Take those that can be taken, in one commit; the answer has a code for each, and is 200."""
    read: dict[int, PostmarkEmail] = {}

    def reader(number: int, octets: bytes) -> NewMessage:
        read[number], message = _read(octets)
        return message

    with _told():
        octets = await call.request.body()
        given = parse_json(octets, list[Raw])
        if not given:
            raise HttpProblem("invalid", f"There is no message: a batch has 1 to {MOST}.")
        if len(given) > MOST:
            raise TooMany("invalid", f"There are {len(given)} messages: a batch has 1 to {MOST}.")
        readers = [partial(reader, number, bytes(each)) for number, each in enumerate(given)]
        done = await take_batch(
            call, readers, key_of(call), partial(meaning_of, octets), permissive=True, within=""
        )
        done.refuse_what_may_come_again()
    answers: list[PostmarkAnswer] = []
    for number, each in enumerate(done.items):
        if isinstance(each, HttpProblem):
            move(each, _place, NOT_HONOURED)
            _, error = tell(each, "")
            answers.append(PostmarkAnswer(error_code=error.error_code, message=error.message))
        else:
            answers.append(_accepted(read[number], str(each.id)))
    return handed_in(answers, repeated=done.repeated)


ENDPOINTS = (
    ApiEndpoint(
        name="postmark_send",
        method="POST",
        path="/email",
        needs=TokenScope.SUBMIT,
        summary="Hand in a message in Postmark's shape. 200: it is on the disk (queued), not sent yet.",
        do=send,
        face=FACE,
        takes=PostmarkEmail,
        reads_itself=True,
        answers=PostmarkAnswer,
        most=WHOLE_MESSAGE,
        parameters=(IDEMPOTENCY_KEY,),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
    ApiEndpoint(
        name="postmark_send_batch",
        method="POST",
        path="/email/batch",
        needs=TokenScope.SUBMIT,
        summary="Hand in up to 1000 messages in Postmark's shape. 200: each has a code of its own.",
        do=send_batch,
        face=FACE,
        takes=PostmarkEmails,
        reads_itself=True,
        answers=tuple[PostmarkAnswer, ...],
        most=LARGEST,
        parameters=(IDEMPOTENCY_KEY,),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
)
