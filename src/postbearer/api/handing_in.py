"""What all ways of handing in by HTTP share: composing, checking, and saying what was accepted."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import encode

from postbearer.api import composing
from postbearer.api.composing import NewMessage
from postbearer.api.endpoint import Call
from postbearer.api.problems import HttpProblem, at, of_reply, retry_after
from postbearer.config import MOMENT_HINT, parse_moment
from postbearer.control import Time, recipient_id
from postbearer.engine import MessageIntake, Submission
from postbearer.envelope import PRIORITIES, Envelope, PriorityName
from postbearer.errors import UsageError
from postbearer.message import parse_mailboxes
from postbearer.reply import Reply
from postbearer.store import IdempotencyKey
from postbearer.store import Priority as Lane
from postbearer.submission import take
from postbearer.tags import Tags, make_tags, parse_tag
from postbearer.trace_context import parse

LARGE = 256 * 1024  # octets, above which the loop does not compose the message itself
LONGEST_KEY = 255


class Departure(Struct, frozen=True, kw_only=True):
    """When it can leave at the earliest, behind what waits already; null: not before a person has acted."""

    earliest: Time | None
    waits: Annotated[str, Meta(description="for what, if not for its turn")] = ""


class Addressee(Struct, frozen=True, kw_only=True):
    """One recipient, and the account by which the message leaves for it."""

    id: str | UnsetType = UNSET
    address: str
    account: str


class AcceptedMessage(Struct, frozen=True, kw_only=True):
    """A message that is on the disk, or, without an id, one that would be taken (`dry-run`).

    `account` is empty if it leaves by several.
    """

    id: str | UnsetType = UNSET
    account: str
    send_at: Annotated[Time, Meta(description="the time it waits for, if it does")] | UnsetType = UNSET
    recipients: tuple[Addressee, ...]
    leaves: Departure


async def take_parts(call: Call, given: NewMessage) -> tuple[Envelope, MessageIntake]:
    """A message by its parts, on its way in. Raises `HttpProblem`."""
    recipients = composing.recipients(given)
    send_at, tags = time_of(call, given.send_at, pointer="/send-at"), composing.tags(given)
    made = composing.draft(given, _usual_sender(call, given, recipients[0][0]), send_at)
    if given.size > LARGE:
        content = await asyncio.to_thread(composing.octets, made, given)
    else:
        content = composing.octets(made, given)
    (author,) = parse_mailboxes(made.sender)
    envelope = Envelope.of(author.address, [address for address, _ in recipients])
    if given.priority:
        envelope = replace(envelope, priority=mt_priority(given.priority))
    check(call, envelope, "/from", recipients)
    submission = _submission(call, envelope, len(content), send_at, tags)
    taking = await call.services.intake.begin(submission)
    if isinstance(taking, Reply):
        raise of_reply(taking)
    try:
        await taking.write(content)
    except BaseException:  # the peer or we go away
        await taking.abort()
        raise
    return envelope, taking


async def take_content(
    call: Call,
    envelope: Envelope,
    size: int | None,
    blocks: AsyncIterator[bytes],
    *,
    send_at: float | None,
    tags: Tags,
) -> MessageIntake:
    """A message as it comes, on its way in. Raises `HttpProblem`."""
    taking = await take(call.services.intake, _submission(call, envelope, size, send_at, tags), blocks)
    if isinstance(taking, Reply):
        raise of_reply(taking)
    return taking


def _submission(
    call: Call, envelope: Envelope, size: int | None, send_at: float | None, tags: Tags
) -> Submission:
    """What is known of a message before its content, which is made of lines, comes."""
    if call.services.intake.settings.traced:
        fields = call.request.headers
        envelope = envelope.within(parse(fields.getlist("traceparent"), fields.getlist("tracestate")))
    return Submission(
        client=call.by.client,
        envelope=envelope,
        peer=call.peer,
        protocol=call.request.scope["scheme"].upper(),
        size=size,
        checked=True,
        send_at=send_at,
        tags=tags,
    )


async def keep(call: Call, taking: MessageIntake, key: str, digest: str) -> str:
    """Make it durable; the id that it has, or had already. `key`: the client's; `digest`: of what it sent.

    Raises `HttpProblem`.
    """
    known = IdempotencyKey(client=call.by.client.name, key=key, digest=digest) if key else None
    done = await taking.finish(known)
    if isinstance(done, Reply):
        raise of_reply(done)
    return done


async def hand_in(call: Call, given: NewMessage, key: str) -> tuple[str, bool]:
    """The id of a message that is on the disk, and whether it was there before. Raises `HttpProblem`."""
    with alone(call, key):
        admit(call, dry_run=False)
        _, taking = await take_parts(call, given)
        return await keep(call, taking, key, digest_of(given) if key else ""), taking.repeated


def digest_of(given: NewMessage) -> str:
    """What tells it from another message under the same key: what it says, however it was written."""
    return hashlib.sha256(encode(given, order="sorted")).hexdigest()


def accepted(
    call: Call,
    identifier: str | None,
    addresses: Sequence[str],
    lanes: Mapping[str, tuple[str, Lane]],
    send_at: float | None,
    *,
    departures: dict[Hashable, Departure] | None = None,
) -> AcceptedMessage:
    """What is told of a message. `departures`: what was found of others that were handed in with it."""
    when = frozenset(lanes.values()), send_at
    leaves = departures.get(when) if departures is not None else None
    if leaves is None:
        leaves = _departure(call, *when)
        if departures is not None:
            departures[when] = leaves
    accounts = {account for account, _ in lanes.values()}
    return AcceptedMessage(
        id=UNSET if identifier is None else identifier,
        send_at=UNSET if send_at is None else send_at,
        account=accounts.pop() if len(accounts) == 1 else "",
        recipients=tuple(
            Addressee(
                id=UNSET if identifier is None else recipient_id(identifier, number),
                address=address,
                account=lanes[address][0],
            )
            for number, address in enumerate(addresses, 1)
        ),
        leaves=leaves,
    )


def _departure(call: Call, lanes: Iterable[tuple[str, Lane]], send_at: float | None) -> Departure:
    """When the first of the lanes may go, which is not before `send_at`."""
    clock, states = call.services.intake.clock, call.services.dispatcher.account_states
    now, first, waits = clock.now(), math.inf, ""
    for account, priority in sorted(lanes):
        state = states.get(account)
        if state is None:  # it is not configured any more
            waits = f"The account {account} is not configured any more."
        elif state.pause is not None and state.pause.probe is None:
            waits = f"The account {account} is paused: {state.pause.reason}"
        else:
            at_ = state.free_at(priority, now)
            first = min(first, now if at_ == math.inf else at_)  # as soon as a connection is free
    if first == math.inf:
        return Departure(earliest=None, waits=waits)
    return Departure(earliest=first if send_at is None else max(first, send_at))


def tags_of(given: Iterable[str], **place: str) -> Tags:
    """Tags from ``NAME:VALUE``. Raises `HttpProblem` that tells `place`."""
    try:
        return make_tags(map(parse_tag, given))
    except UsageError as error:
        raise at(error.message, hint=error.hint, **place) from None


def time_of(call: Call, given: str | UnsetType, **place: str) -> float | None:
    """When a message is to leave, if that is later. Raises `HttpProblem` that tells `place`."""
    if not given:
        return None
    intake = call.services.intake
    now = intake.clock.now()
    try:
        moment = parse_moment(given, now)
    except ValueError as error:
        raise at(f"{given!r:.60} {error}.", hint=MOMENT_HINT, **place) from None
    if refusal := intake.refuse_time(moment):
        raise at(of_reply(refusal).detail, hint=MOMENT_HINT, **place)
    return moment if moment > now else None


def _usual_sender(call: Call, given: NewMessage, first: str) -> str:
    """The address of the account by which a message leaves to `first` that does not say who it is from."""
    if given.from_ is not None:
        return ""
    intake, client = call.services.intake, call.by.client
    if client.default_sender:
        return client.default_sender
    account = intake.accounts.get(intake.router.choose(client, "", first).account)
    if account is None:
        raise HttpProblem("forbidden", "No account is set up that this could leave from.")
    return account.address


def check(call: Call, envelope: Envelope, sender: str, recipients: Iterable[tuple[str, str]]) -> None:
    """Raise `HttpProblem` for what the client may not; `sender` and the second halves say where it stands."""
    intake, client = call.services.intake, call.by.client
    if refusal := intake.refuse_sender(client, envelope.reverse_path):
        raise _at_reply(refusal, sender)
    for address, pointer in recipients:
        if refusal := intake.refuse_recipient(client, envelope.reverse_path, address):
            raise _at_reply(refusal, pointer)


def _at_reply(refusal: Reply, pointer: str) -> HttpProblem:
    problem = of_reply(refusal)
    return at(problem.detail, pointer=pointer, kind=problem.kind) if pointer else problem


def admit(call: Call, *, dry_run: bool) -> None:
    if call.services.stopping.is_set():
        raise HttpProblem("unavailable", "The relay is about to end.", headers=retry_after("unavailable"))
    if not dry_run and not call.services.rate_limit.admit(call.by.client):
        raise HttpProblem(
            "rate-limited",
            f"{call.by.client.name} has had its messages of this minute.",
            headers=retry_after("rate-limited"),
        )


def mt_priority(given: PriorityName | UnsetType) -> int | None:
    return None if given is UNSET else PRIORITIES[given]


@contextmanager
def alone(call: Call, key: str) -> Iterator[None]:
    """Let nothing else come under `key` meanwhile, if there is one. Raises `HttpProblem` where it does."""
    mine, under_way = (call.by.client.name, key), call.services.keys_under_way
    if not key:
        yield
        return
    if mine in under_way:
        raise HttpProblem(
            "in-progress",
            "A request with this key is still under way.",
            hint="Ask again a little later: then the answer is that of the first.",
            headers={"retry-after": "1"},
        )
    under_way.add(mine)
    try:
        yield
    finally:
        under_way.discard(mine)


def key_of(call: Call, longest: int = LONGEST_KEY) -> str:
    """The idempotency key, of at most `longest` characters, if there is one."""
    fields = call.request.headers.getlist("idempotency-key")
    if not fields:
        return ""
    text: str = fields[0]
    if len(fields) > 1 or not 1 <= len(text) <= longest or not text.isascii() or not text.isprintable():
        raise at(
            f"A key has 1 to {longest} visible ASCII characters, and stands there once.",
            header="Idempotency-Key",
            kind="malformed",
        )
    return text


def idempotency_key(longest: int = LONGEST_KEY) -> Mapping[str, Any]:
    """The header field of the key, as OpenAPI describes it."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": longest},
        "description": "what is sent again under it is the same message: known for a day at least, and as "
        "long as the message is",
    }


IDEMPOTENCY_KEY = idempotency_key()
