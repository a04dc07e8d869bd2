"""Actions on all messages that match, as jobs: by the methods that commands use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.handing_in import tags_of
from postbearer.api.messages import may_not_move, searched
from postbearer.api.problems import HttpProblem, at
from postbearer.api.tokens import TokenScope
from postbearer.control import JobInfo, JobList, Time, encode, perform
from postbearer.errors import Conflict, UsageError
from postbearer.store import JobAction, Status

_Text = Annotated[str, Meta(max_length=1000)]


class MessageFilter(Struct, rename="kebab", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which messages, and which of their recipients: in one of these states, by this account.

    What is not given asks for nothing; without a state, it is all that the action works on.
    """

    state: tuple[Status, ...] = ()
    account: _Text = ""
    client: _Text = ""
    address: Annotated[str, Meta(max_length=1000, description="in sender, author or a recipient")] = ""
    message_id: Annotated[str, Meta(max_length=1000, description="in its Message-ID")] = ""
    tag: Annotated[tuple[str, ...], Meta(description="NAME:VALUE; all of them")] = ()
    q: Annotated[str, Meta(max_length=2000, description="words, such as from:ada state:deferred")] = ""
    accepted_before: Time | None = None
    accepted_after: Time | None = None


class NewJob(Struct, rename="kebab", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What to do to all that matches: to `count` messages, as a dry run has told."""

    action: JobAction
    filter: MessageFilter = MessageFilter()
    account: Annotated[str, Meta(max_length=1000, description="to move: where to")] = ""
    count: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    dry_run: bool = False


async def start(call: Call) -> Response:
    """Count, or begin."""
    asked: NewJob = call.body
    wanted = asked.filter
    if call.by.confined and asked.action is JobAction.MOVE:
        raise may_not_move(call)
    if _own(call) and wanted.client not in ("", _own(call)):
        raise at("This token sees the messages of its own client only.", pointer="/filter/client")
    matching = {
        "statuses": wanted.state,
        "account": wanted.account,
        "client": _own(call) or wanted.client,
        "address": wanted.address,
        "message_id": wanted.message_id,
        "tags": tags_of(wanted.tag, pointer="/filter/tag"),
        "older_than": wanted.accepted_before,
        "newer_than": wanted.accepted_after,
    }
    told: JobInfo = await _perform(
        call,
        "jobs.start",
        {
            "action": asked.action,
            "matching": searched(call, matching, wanted.q, pointer="/filter/q"),
            "account": asked.account,
            "count": asked.count,
            "dry_run": asked.dry_run,
        },
    )
    headers = {}
    if not asked.dry_run:
        headers["location"] = f"{call.request.scope.get('root_path', '')}/v1/jobs/{told.id}"
    return Response(encode(told), 200 if asked.dry_run else 202, headers, "application/json")


async def listed(call: Call) -> JobList:
    done: JobList = await _perform(call, "jobs.list", {"client": _own(call)})
    return done


async def shown(call: Call) -> JobInfo:
    return await _of_one(call, "jobs.show")


async def cancel(call: Call) -> JobInfo:
    return await _of_one(call, "jobs.cancel")


async def _of_one(call: Call, method: str) -> JobInfo:
    given = {"job": call.path["id"][:1000], "client": _own(call)}
    try:
        done: JobInfo = await _perform(call, method, given)
    except Conflict:
        raise
    except UsageError as error:
        raise HttpProblem("not-found", error.message, hint=error.hint) from None
    return done


def _own(call: Call) -> str:
    """Whose messages the caller may see and work on only; empty: all."""
    return call.by.client.name if call.by.confined else ""


async def _perform(call: Call, method: str, given: Mapping[str, Any]) -> Any:
    return await perform(call.services.operations, call.by.principal, method, given)


ENDPOINTS = (
    ApiEndpoint(
        name="start-job",
        method="POST",
        path="/v1/jobs",
        needs=TokenScope.OPERATE,
        summary="Do something to all messages that match. 202: it has begun. 200: counted, with dry-run.",
        do=start,
        takes=NewJob,
        answers=JobInfo,
        status=202,
        dry_run=True,
        problems=("conflict",),
    ),
    ApiEndpoint(
        name="jobs",
        method="GET",
        path="/v1/jobs",
        needs=TokenScope.READ,
        summary="What was done to all messages that matched, the newest first.",
        do=listed,
        answers=JobList,
    ),
    ApiEndpoint(
        name="job",
        method="GET",
        path="/v1/jobs/{id}",
        needs=TokenScope.READ,
        summary="How far a job is.",
        do=shown,
        answers=JobInfo,
    ),
    ApiEndpoint(
        name="cancel-job",
        method="POST",
        path="/v1/jobs/{id}/cancel",
        needs=TokenScope.OPERATE,
        summary="Have it do nothing more; what it has done stays.",
        do=cancel,
        answers=JobInfo,
        problems=("conflict",),
    ),
)
