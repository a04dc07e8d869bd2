"""Resend's API, for its SDKs and for programs that were written for it: `/emails`.

What it can say and we cannot do is refused by name; nothing is left out without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field
from starlette.responses import Response

from postbearer.api.batch import (
    LARGEST,
    MOST,
    VALIDATION_FIELD,
    all_in_one,
    meaning_of,
    permissive_of,
    take_batch,
)
from postbearer.api.composing import (
    MOST_FILES,
    Attachment,
    Author,
    Base64,
    ContentId,
    FileName,
    HeaderFields,
    Mailboxes,
    NewMessage,
    SendAt,
    Subject,
    from_base64,
    gathered,
    said_type,
)
from postbearer.api.endpoint import WHOLE_MESSAGE, ApiEndpoint, Call
from postbearer.api.face import Face, field_of, handed_in, in_words, move, renamed, told_of
from postbearer.api.handing_in import hand_in, idempotency_key, key_of
from postbearer.api.problems import INVALID, HttpProblem, MissingField, TokenProblem, at
from postbearer.api.reading import parse_json
from postbearer.api.tokens import TokenScope

LONGEST_KEY: Final = 256

NOT_HONOURED: Mapping[str, str] = {  # by place, why and what to do
    "/attachments/path": "Nothing is fetched from elsewhere: read the file, and send its content in base64.",
    "/region": "Mail leaves from the account's provider, wherever that is: leave it out.",
    "/template": "There are no templates here: fill it in, and send `html` and `text`.",
    "/topic_id": "There are no topics here: choose the recipients, and leave it out.",
}


class ResendError(Struct, rename={"status_code": "statusCode"}, frozen=True, kw_only=True):
    """What cannot be done; `name` is one of Resend's."""

    status_code: int
    name: str
    message: str


NAMES: Mapping[str, str] = {
    "unauthorized": "missing_api_key",
    "not-found": "not_found",
    "method-not-allowed": "method_not_allowed",
    "idempotency-key-reused": "invalid_idempotent_request",
    "in-progress": "concurrent_idempotent_requests",
    "rate-limited": "rate_limit_exceeded",
    "too-slow": "application_error",
    "defect": "application_error",
    "unavailable": "application_error",
    "no-room": "application_error",
}


def tell(problem: HttpProblem, request: str) -> tuple[int, ResendError]:
    status, name = problem.status, NAMES.get(problem.kind, "validation_error")
    first = problem.errors[0] if problem.errors else None
    message = in_words(problem)
    match problem:
        case TokenProblem(error=""):
            pass
        case TokenProblem(error=error):
            status, name = (403, "invalid_api_key") if error == INVALID else (401, "restricted_api_key")
        case MissingField():
            assert first is not None
            name, message = "missing_required_field", f"Missing `{field_of(first)}` field."
        case HttpProblem(kind="malformed") if first is not None and first.header:
            name = "invalid_idempotency_key"
        case HttpProblem(kind="invalid") if first is not None and first.pointer == "/from":
            name = "invalid_from_address"
        case HttpProblem(kind="invalid") if first is not None and first.pointer.startswith("/attachments"):
            name = "invalid_attachment"
    return status, ResendError(status_code=status, name=name, message=message)


FACE = Face(name="resend", below="/emails", document=ResendError, tell=tell)


class NodeBuffer(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Octets as Node writes a Buffer in JSON."""

    type: Literal["Buffer"]
    data: list[Annotated[int, Meta(ge=0, le=255)]]


class ResendRemote(Struct, frozen=True, kw_only=True):
    """What cannot be honoured of an attachment: it is taken where it asks for nothing."""

    path: None = None


class ResendAttachment(ResendRemote, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file. With a content id the HTML shows it."""

    filename: FileName
    content: Base64 | list[Annotated[int, Meta(ge=0, le=255)]] | NodeBuffer
    content_type: Annotated[str, Meta(max_length=255)] | None = None
    content_id: ContentId | None = None
    inline_content_id: Annotated[ContentId, Meta(description="as content_id")] | None = None


class ResendRefused(Struct, frozen=True, kw_only=True):
    """What cannot be honoured: it is taken where it asks for nothing."""

    template: None = None
    topic_id: None = None
    region: None = None


class ResendTag(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A value to find the message by."""

    name: str
    value: str = ""


class ResendEmail(ResendRefused, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message."""

    from_: Author = field(name="from")
    to: Mailboxes
    subject: Subject
    cc: Mailboxes | None = None
    bcc: Mailboxes | None = None
    reply_to: Mailboxes | None = None
    html: str | None = None
    text: str | None = None
    headers: HeaderFields | None = None
    attachments: Annotated[list[ResendAttachment], Meta(max_length=MOST_FILES)] | None = None
    tags: list[ResendTag] | None = None
    scheduled_at: SendAt | None = None


ResendEmails = Annotated[list[ResendEmail], Meta(min_length=1, max_length=MOST)]


class ResendId(Struct, frozen=True, kw_only=True):
    """The message is on the disk (queued), not sent yet."""

    id: str


class ResendBatchError(Struct, frozen=True, kw_only=True):
    """Why the message at this place was not taken."""

    index: int
    message: str


class ResendBatch(Struct, frozen=True, kw_only=True):
    """The messages that were taken, and with ``x-batch-validation: permissive`` those that were not."""

    data: tuple[ResendId, ...]
    errors: tuple[ResendBatchError, ...] | UnsetType = UNSET


_NAMES = {
    "reply-to": "reply_to",
    "content-id": "content_id",
    "content-type": "content_type",
    "send-at": "scheduled_at",
}
_place = partial(renamed, names=_NAMES)

_told = partial(told_of, _place, NOT_HONOURED)


def _read(octets: bytes) -> NewMessage:
    given = parse_json(octets, ResendEmail)
    if given.html is None and given.text is None:
        raise at("There is neither html nor text.", pointer="/html")
    return NewMessage(
        from_=given.from_,
        to=given.to,
        cc=given.cc or [],
        bcc=given.bcc or [],
        reply_to=given.reply_to or [],
        subject=given.subject,
        text=given.text,
        html=given.html,
        attachments=[
            _file(each, f"/attachments/{number}") for number, each in enumerate(given.attachments or ())
        ],
        headers=given.headers or {},
        tags=gathered((each.name, each.value) for each in given.tags or ()),
        send_at=given.scheduled_at.removeprefix("in ") if given.scheduled_at else UNSET,  # "in 1 min"
    )


def _file(given: ResendAttachment, pointer: str) -> Attachment:
    match given.content:
        case str(text):
            octets = from_base64(text, f"{pointer}/content")
        case NodeBuffer(data=numbers):
            octets = bytes(numbers)
        case numbers:
            octets = bytes(numbers)
    return Attachment(
        filename=given.filename,
        content=octets,
        content_id=given.content_id or given.inline_content_id,
        content_type=said_type(given.filename, given.content_type),
    )


async def send(call: Call) -> Response:
    """Take one message, and answer once it is on the disk."""
    with _told():
        given = _read(await call.request.body())
        identifier, repeated = await hand_in(call, given, key_of(call, LONGEST_KEY))
    return handed_in(ResendId(id=identifier), repeated=repeated)


async def send_batch(call: Call) -> Response:
    """Take all, or with ``x-batch-validation: permissive`` those that can be taken, in one commit."""
    with _told():
        key, permissive = key_of(call, LONGEST_KEY), permissive_of(call)
        octets = await call.request.body()
        given = parse_json(octets, list[Raw])
        if not 1 <= len(given) <= MOST:
            raise HttpProblem("invalid", f"There are {len(given)} messages: a batch has 1 to {MOST}.")
        readers = [partial(_read, bytes(each)) for each in given]
        done = await take_batch(
            call, readers, key, partial(meaning_of, octets), permissive=permissive, within=""
        )
        done.refuse_what_may_come_again()
        if not done.messages:
            raise all_in_one(done.problems, len(given), "")
    errors: list[ResendBatchError] = []
    for number, problem in done.problems.items():
        move(problem, _place, NOT_HONOURED)
        errors.append(ResendBatchError(index=number, message=tell(problem, "")[1].message))
    body = ResendBatch(
        data=tuple(ResendId(id=str(each.id)) for each in done.messages),
        errors=tuple(errors) if permissive else UNSET,
    )
    return handed_in(body, repeated=done.repeated)


ENDPOINTS = (
    ApiEndpoint(
        name="resend_send",
        method="POST",
        path="/emails",
        needs=TokenScope.SUBMIT,
        summary="Hand in a message in Resend's shape. 200: it is on the disk (queued), not sent yet.",
        do=send,
        face=FACE,
        takes=ResendEmail,
        reads_itself=True,
        answers=ResendId,
        most=WHOLE_MESSAGE,
        parameters=(idempotency_key(LONGEST_KEY),),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
    ApiEndpoint(
        name="resend_send_batch",
        method="POST",
        path="/emails/batch",
        needs=TokenScope.SUBMIT,
        summary="Hand in up to 1000 messages in Resend's shape, in one commit.",
        do=send_batch,
        face=FACE,
        takes=ResendEmails,
        reads_itself=True,
        answers=ResendBatch,
        most=LARGEST,
        parameters=(idempotency_key(LONGEST_KEY), VALIDATION_FIELD),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
)
