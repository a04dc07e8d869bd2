"""SendGrid's API, for its SDKs and for programs that were written for it: `/v3/mail/send`.

Each personalization is a message of its own; all of them are taken in one commit, or none. What can be said
there and cannot be done here is refused by name; nothing is left out without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from starlette.responses import Response

from postbearer.address import Address
from postbearer.api.batch import LARGEST, MOST, meaning_of, take_batch
from postbearer.api.composing import (
    MOST_FILES,
    MOST_RECIPIENTS,
    Attachment,
    Base64,
    ContentId,
    FileName,
    HeaderFields,
    NewMessage,
    Subject,
    from_base64,
    gathered,
    said_type,
)
from postbearer.api.endpoint import WHOLE_MESSAGE, ApiEndpoint, Call
from postbearer.api.face import Face, renamed, told_of
from postbearer.api.handing_in import IDEMPOTENCY_KEY, key_of
from postbearer.api.problems import Fault, HttpProblem, at, plain
from postbearer.api.reading import parse_json
from postbearer.api.tokens import TokenScope
from postbearer.errors import UsageError

_TEMPLATE = "There are no templates here: fill it in, and send content."
NOT_HONOURED: Mapping[str, str] = {  # by place, why and what to do
    "/asm": "There are no groups to unsubscribe from here: choose the recipients, and leave it out.",
    "/batch_id": "There are no batches of messages here: cancel each by its id, and leave it out.",
    "/content/type": "A message has text/plain and text/html: attach what is of another type.",
    "/ip_pool_name": "Mail leaves from the account's provider: leave it out.",
    "/mail_settings": "Nothing is added, bypassed or tried here: leave it out, or enable nothing.",
    "/personalizations/dynamic_template_data": _TEMPLATE,
    "/personalizations/substitutions": _TEMPLATE,
    "/sections": _TEMPLATE,
    "/template_id": _TEMPLATE,
    "/tracking_settings": "Nothing is tracked here: leave it out, or enable nothing.",
}
STATUSES: Mapping[str, int] = {"invalid": 400, "no-room": 503}  # where they are others than ours


class SendGridFault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and where."""

    message: str
    field: str | None
    help: None = None


class SendGridErrors(Struct, frozen=True, kw_only=True):
    """What cannot be done."""

    errors: tuple[SendGridFault, ...]


def tell(problem: HttpProblem, request: str) -> tuple[int, SendGridErrors]:
    faults = tuple(dict.fromkeys(problem.errors)) or (Fault(detail=plain(problem.detail)),)
    errors = tuple(
        SendGridFault(message=f"{each.detail} {plain(problem.hint)}".strip(), field=_field(each))
        for each in faults
    )
    return STATUSES.get(problem.kind, problem.status), SendGridErrors(errors=errors)


def _field(fault: Fault) -> str | None:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in fault.pointer.split("/")[1:]]
    return ".".join(steps) or fault.parameter or fault.header or None


FACE = Face(name="sendgrid", below="/v3", document=SendGridErrors, tell=tell)


class SendGridAddress(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mailbox."""

    email: Annotated[str, Meta(max_length=1000)]
    name: Annotated[str, Meta(max_length=1000)] | None = None


Addresses = Annotated[list[SendGridAddress], Meta(max_length=MOST_RECIPIENTS)]
UnixTime = Annotated[int, Meta(ge=0, le=9_999_999_999, description="Unix seconds")]
Nothing = Annotated[dict[str, Any], Meta(max_length=0)] | None
Settings = Annotated[dict[str, dict[str, Any]], Meta(description="none of them enabled")] | None


class SendGridPersonalRefused(Struct, frozen=True, kw_only=True):
    """What cannot be honoured of a personalization: it is taken where it asks for nothing."""

    dynamic_template_data: Nothing = None
    substitutions: Nothing = None


class SendGridPersonalization(SendGridPersonalRefused, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Who gets a message, and what is only in theirs."""

    to: Addresses
    cc: Addresses | None = None
    bcc: Addresses | None = None
    from_: SendGridAddress | None = field(default=None, name="from")
    subject: Subject | None = None
    headers: HeaderFields | None = None
    custom_args: dict[str, str] | None = None
    send_at: UnixTime | None = None


class SendGridContent(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The text in one form."""

    type: Literal["text/plain", "text/html"]
    value: str


class SendGridAttachment(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file; the HTML shows one that is inline, by its content id."""

    content: Base64
    filename: FileName
    type: Annotated[str, Meta(max_length=255)] | None = None
    disposition: Literal["attachment", "inline"] | None = None
    content_id: ContentId | None = None


class SendGridRefused(Struct, frozen=True, kw_only=True):
    """What cannot be honoured: it is taken where it asks for nothing."""

    asm: None = None
    batch_id: None = None
    ip_pool_name: None = None
    sections: Nothing = None
    template_id: None = None


class SendGridMail(SendGridRefused, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message for each personalization."""

    personalizations: Annotated[list[SendGridPersonalization], Meta(min_length=1, max_length=MOST)]
    from_: SendGridAddress = field(name="from")
    reply_to: SendGridAddress | None = None
    reply_to_list: Addresses | None = None
    subject: Subject | None = None
    content: Annotated[list[SendGridContent], Meta(min_length=1, max_length=2)]
    attachments: Annotated[list[SendGridAttachment], Meta(max_length=MOST_FILES)] | None = None
    headers: HeaderFields | None = None
    categories: list[str] | None = None
    custom_args: dict[str, str] | None = None
    send_at: UnixTime | None = None
    mail_settings: Settings = None
    tracking_settings: Settings = None


_NAMES = {"content-id": "content_id", "content-type": "type"}


def _place(given: SendGridMail, pointer: str) -> str:
    """Where it stands in the request: what a personalization does not say itself, the message says."""
    steps = pointer.split("/")[1:]
    if len(steps) < 3 or steps[0] != "personalizations":
        return pointer
    personal, (name, *rest) = given.personalizations[int(steps[1])], steps[2:]
    own = "/".join(["", *steps[:2]])
    match name:
        case "to" | "cc" | "bcc":
            return f"{own}/{name}/{rest[0]}/email" if len(rest) == 1 else pointer
        case "from":
            return f"{own}/from/email" if personal.from_ else "/from/email"
        case "reply-to":
            return "/reply_to/email" if given.reply_to else f"/reply_to_list/{rest[0]}/email"
        case "subject" if personal.subject is not None:
            return pointer
        case "headers" if rest and rest[0] in (personal.headers or {}):
            return pointer
        case "text" | "html":
            return "/content"
        case "send-at":
            return "/send_at" if personal.send_at is None else f"{own}/send_at"
        case "tags":
            if personal.custom_args:
                return f"{own}/custom_args"
            return "/custom_args" if given.custom_args else "/categories"
    return renamed("/".join(["", name, *rest]), _NAMES)


def _read(given: SendGridMail) -> Iterator[NewMessage]:
    """The messages, one for each personalization."""
    for name, settings in (("mail", given.mail_settings), ("tracking", given.tracking_settings)):
        for setting, said in (settings or {}).items():
            if said.get("enable"):
                raise at(NOT_HONOURED[f"/{name}_settings"], pointer=f"/{name}_settings/{setting}")
    if given.reply_to and given.reply_to_list:
        raise at("There is a reply_to already.", pointer="/reply_to_list")
    texts: dict[str, str] = {}
    for number, each in enumerate(given.content):
        if each.type in texts:
            raise at("There is one already.", pointer=f"/content/{number}/type")
        texts[each.type] = each.value
    files = [_file(each, f"/attachments/{number}") for number, each in enumerate(given.attachments or ())]
    author = _mailbox(given.from_, "/from")
    if given.reply_to:
        answers = [_mailbox(given.reply_to, "/reply_to")]
    else:
        answers = _mailboxes(given.reply_to_list or (), "/reply_to_list")
    for number, personal in enumerate(given.personalizations):
        place = f"/personalizations/{number}"
        yield NewMessage(
            from_=_mailbox(personal.from_, f"{place}/from") if personal.from_ else author,
            to=_mailboxes(personal.to, f"{place}/to"),
            cc=_mailboxes(personal.cc or (), f"{place}/cc"),
            bcc=_mailboxes(personal.bcc or (), f"{place}/bcc"),
            reply_to=answers,
            subject=given.subject or "" if personal.subject is None else personal.subject,
            text=texts.get("text/plain"),
            html=texts.get("text/html"),
            attachments=files,
            headers={**(given.headers or {}), **(personal.headers or {})},
            tags=gathered(
                [
                    *(("category", each) for each in given.categories or ()),
                    *{**(given.custom_args or {}), **(personal.custom_args or {})}.items(),
                ]
            ),
            send_at=_moment(given.send_at if personal.send_at is None else personal.send_at),
        )


def _moment(given: int | None) -> str | UnsetType:
    return datetime.fromtimestamp(given, UTC).isoformat() if given else UNSET


def _mailbox(given: SendGridAddress, pointer: str) -> str:
    try:
        Address.parse(given.email)
    except UsageError as error:
        raise at(error.message, pointer=f"{pointer}/email", hint=error.hint) from None
    if not given.name:
        return given.email
    quoted = given.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{given.email}>'


def _mailboxes(given: Sequence[SendGridAddress], pointer: str) -> list[str]:
    return [_mailbox(each, f"{pointer}/{number}") for number, each in enumerate(given)]


def _file(given: SendGridAttachment, pointer: str) -> Attachment:
    return Attachment(
        filename=given.filename,
        content=from_base64(given.content, f"{pointer}/content"),
        content_id=given.content_id,
        content_type=said_type(given.filename, given.type),
        disposition=given.disposition or "attachment",
    )


def _as_read(message: NewMessage) -> NewMessage:
    return message


async def send(call: Call) -> Response:
    """Take a message for each personalization, and answer once they are on the disk."""
    octets = await call.request.body()
    with told_of(str, NOT_HONOURED):
        given = parse_json(octets, SendGridMail)
        made = list(_read(given))
    if sum(each.size for each in made) > max(LARGEST, made[0].size):
        raise HttpProblem("too-large", f"All messages together have more than {LARGEST} octets.")
    with told_of(partial(_place, given), NOT_HONOURED):
        done = await take_batch(
            call,
            [partial(_as_read, each) for each in made],
            key_of(call),
            partial(meaning_of, octets),
            permissive=False,
            within="/personalizations",
        )
    headers = {"x-message-id": ",".join(str(each.id) for each in done.messages)}
    if done.repeated:
        headers["idempotent-replayed"] = "true"
    return Response(status_code=202, headers=headers)


ENDPOINTS = (
    ApiEndpoint(
        name="sendgrid_send",
        method="POST",
        path="/v3/mail/send",
        needs=TokenScope.SUBMIT,
        summary="Hand in messages in SendGrid's shape. 202: they are on the disk (queued), not sent yet.",
        do=send,
        face=FACE,
        takes=SendGridMail,
        reads_itself=True,
        status=202,
        most=WHOLE_MESSAGE,
        parameters=(IDEMPOTENCY_KEY,),
        problems=("rate-limited", "no-room", "idempotency-key-reused", "in-progress"),
    ),
)
