"""Messages of the queue: seen, and worked on, by the methods that commands use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.handing_in import IDEMPOTENCY_KEY, alone, key_of, tags_of
from postbearer.api.problems import HttpProblem, at, of_error, of_reply
from postbearer.api.tokens import TokenScope
from postbearer.control import (
    Change,
    LetGo,
    MessageDetail,
    MessageResent,
    MessageSummary,
    Page,
    Time,
    perform,
    with_search,
)
from postbearer.errors import SubmissionRefused, UsageError
from postbearer.store import Status

MOST = 1000
_LONGEST = 1000  # characters of an id
MOST_CHOSEN = 100  # recipients of a message that is resent

_Text = Annotated[str, Meta(max_length=1000)]


class Asked(Struct, rename="kebab", frozen=True, kw_only=True):
    """Which messages; what is not given asks for nothing."""

    q: Annotated[str, Meta(max_length=2000, description="words, such as from:ada state:deferred")] = ""
    state: Annotated[tuple[Status, ...], Meta(description="of a recipient; may be repeated")] = ()
    account: _Text = ""
    client: _Text = ""
    address: Annotated[str, Meta(max_length=1000, description="in sender, author or a recipient")] = ""
    message_id: Annotated[str, Meta(max_length=1000, description="in its Message-ID")] = ""
    tag: Annotated[tuple[str, ...], Meta(description="NAME:VALUE; all of them, if repeated")] = ()
    accepted_before: Time | None = None
    accepted_after: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 100
    cursor: Annotated[str, Meta(max_length=1000, description="where an earlier answer ended")] = ""


class RecipientsAsked(Struct, rename="kebab", frozen=True, kw_only=True):
    """Which recipients of a message are told."""

    state: Annotated[Status | None, Meta(description="only those in this state")] = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = MOST
    cursor: Annotated[str, Meta(max_length=1000, description="where an earlier answer ended")] = ""


class RecipientList(Struct, frozen=True, kw_only=True):
    """What a cursor into the recipients of a message holds good for."""

    message: str
    state: Status | None


class MessageList(Struct, frozen=True, kw_only=True):
    """Messages, oldest first. If there are more, `cursor` is what to ask on with."""

    messages: tuple[MessageSummary, ...]
    cursor: str | None


class MessageQuery(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One recipient of the message; without, all."""

    recipient: Annotated[str, Meta(max_length=1000, description="an address")] = ""


class MessageAgain(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """To whom the new message goes; without, to all whom the first was for. Others need the scope `admin`."""

    to: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...], Meta(max_length=MOST_CHOSEN)
    ] = ()


class MessageMove(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """By which account what waits of the message is to leave."""

    account: Annotated[str, Meta(min_length=1, max_length=1000)]


async def listed(call: Call) -> MessageList:
    asked: Asked = call.query or Asked()
    if call.by.confined:
        asked = replace(asked, client=call.by.client.name)
    alike = replace(asked, cursor="", limit=1)
    cursors = call.services.cursors
    wanted = {
        "account": asked.account,
        "client": asked.client,
        "statuses": asked.state,
        "address": asked.address,
        "message_id": asked.message_id,
        "tags": tags_of(asked.tag, parameter="tag"),
        "older_than": asked.accepted_before,
        "newer_than": asked.accepted_after,
    }
    page: Page = await _perform(
        call,
        "queue.list",
        {
            **searched(call, wanted, asked.q, parameter="q"),
            "limit": asked.limit,
            "after": cursors.read(alike, asked.cursor) if asked.cursor else "",
        },
    )
    return MessageList(
        messages=page.messages, cursor=cursors.write(alike, page.cursor) if page.more else None
    )


def searched(call: Call, wanted: Mapping[str, Any], text: str, **place: str) -> Mapping[str, Any]:
    """The fields of a query, with what the words of a search ask for. Raises `HttpProblem` at its `place`."""
    try:
        return with_search(wanted, text, now=call.services.clock.now()) if text else wanted
    except UsageError as error:
        raise at(error.message, hint=error.hint, **place) from None


async def shown(call: Call) -> MessageDetail:
    """The message that the path names, with the recipients that are asked for."""
    asked: RecipientsAsked = call.query or RecipientsAsked()
    list_ = RecipientList(message=call.path["id"][:_LONGEST], state=asked.state)
    cursors = call.services.cursors
    after = cursors.read(list_, asked.cursor) if asked.cursor else ""
    page = await found(call, limit=asked.limit, state=asked.state, after=after)
    return replace(page, cursor=cursors.write(list_, page.cursor) if page.cursor else "")


async def found(call: Call, **page: Any) -> MessageDetail:
    """The message that the path names, with all its recipients, or a `page` of them."""
    identifier = call.path["id"]
    try:
        found: MessageDetail = await _perform(call, "queue.show", {"message": identifier[:_LONGEST], **page})
    except UsageError:
        raise _none(identifier) from None
    if call.by.confined and found.client != call.by.client.name:
        raise _none(identifier)
    return found


async def hold(call: Call) -> Any:
    return await _change(call, "queue.hold")


async def cancel(call: Call) -> Any:
    return await _change(call, "queue.cancel")


async def release(call: Call) -> Any:
    return await _change(call, "queue.release")


async def retry(call: Call) -> Any:
    return await _change(call, "queue.retry")


async def move(call: Call) -> Any:
    message, wanted = await found(call, limit=1), call.body
    if call.by.confined:
        raise may_not_move(call)
    return await _perform(call, "queue.move", {"message": message.id, "account": wanted.account})


async def resend(call: Call) -> MessageResent:
    message, wanted, key = await found(call, limit=1), call.body or MessageAgain(), key_of(call)
    with alone(call, key):
        given = {"message": message.id, "to": wanted.to, "key": key}
        try:
            done: MessageResent = await _perform(call, "queue.resend", given)
        except SubmissionRefused as refused:
            raise of_reply(refused.reply) if refused.reply else of_error(refused) from None
    call.headers["location"] = f"{call.request.scope.get('root_path', '')}/v1/messages/{done.id}"
    return done


async def _change(call: Call, method: str) -> Any:
    which = call.body or MessageQuery()
    message = await (found(call) if which.recipient else found(call, limit=1))
    if which.recipient and all(each.address != which.recipient for each in message.recipients):
        raise HttpProblem("not-found", f"{message.id} has no recipient {which.recipient!r:.80}.")
    return await _perform(call, method, {"message": message.id, "address": which.recipient})


async def _perform(call: Call, method: str, given: Mapping[str, Any]) -> Any:
    return await perform(call.services.operations, call.by.principal, method, given)


def may_not_move(call: Call) -> HttpProblem:
    """By which account the messages of a client leave is said by the configuration."""
    return HttpProblem(
        "forbidden",
        f"The token {call.by.token.name} is for the client {call.by.client.name}, whose account is that of "
        "the configuration.",
        hint="Make one without --client.",
    )


def _none(identifier: str) -> HttpProblem:
    return HttpProblem(
        "not-found",
        f"There is no message {identifier!r:.80}.",
        hint="What is done with is forgotten after some days.",
    )


def _act(name: str, summary: str, do: Any, answers: Any) -> ApiEndpoint:
    return ApiEndpoint(
        name=name,
        method="POST",
        path=f"/v1/messages/{{id}}/{name}",
        needs=TokenScope.OPERATE,
        summary=summary,
        do=do,
        takes=MessageQuery,
        body_needed=False,
        answers=answers,
    )


ENDPOINTS = (
    ApiEndpoint(
        name="messages",
        method="GET",
        path="/v1/messages",
        needs=TokenScope.READ,
        summary="Messages of the queue, oldest first.",
        do=listed,
        asks=Asked,
        answers=MessageList,
    ),
    ApiEndpoint(
        name="message",
        method="GET",
        path="/v1/messages/{id}",
        needs=TokenScope.READ,
        summary="All that is known of a message: recipients, attempts, replies.",
        do=shown,
        asks=RecipientsAsked,
        answers=MessageDetail,
    ),
    _act("hold", "Keep it until it is released.", hold, Change),
    _act("release", "Let go what was held.", release, LetGo),
    _act("retry", "Try now what would be tried later.", retry, LetGo),
    _act("cancel", "Give up what has not left; nobody is told.", cancel, Change),
    ApiEndpoint(
        name="move",
        method="POST",
        path="/v1/messages/{id}/move",
        needs=TokenScope.OPERATE,
        summary="Have what waits of it leave by another account.",
        do=move,
        takes=MessageMove,
        answers=LetGo,
    ),
    ApiEndpoint(
        name="resend",
        method="POST",
        path="/v1/messages/{id}/resend",
        needs=TokenScope.OPERATE,
        summary="Hand in a new message of the same content, by the way of all others.",
        do=resend,
        takes=MessageAgain,
        body_needed=False,
        answers=MessageResent,
        status=202,
        parameters=(IDEMPOTENCY_KEY,),
        problems=("conflict", "in-progress", "no-room", "rate-limited"),
    ),
)
