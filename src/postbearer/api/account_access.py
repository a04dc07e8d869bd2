"""Whether an account works, and signing in for it: checked step by step, agreed to in any browser."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Final

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from postbearer.api.accounts import account_named
from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import HttpProblem
from postbearer.api.tokens import TokenScope
from postbearer.control import SignInInfo, encode
from postbearer.diagnosis import Finding
from postbearer.errors import Conflict, PostbearerError, UsageError

LINES: Final = "application/jsonl"


class NewCheck(Struct, rename="kebab", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """With an address, a real message is sent there as the last step."""

    send_to: Annotated[str, Meta(max_length=1000)] = ""


class CheckStep(Struct, frozen=True, kw_only=True):
    """One line: a step as it was done (`ok`), failed, or was left out (null), and what helps.

    The last line has the step `end`: `ok` is whether nothing failed.
    """

    step: str
    ok: bool | None
    text: str
    server: str = ""
    cause: str = ""
    fix: str = ""
    who: str = ""
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class NewSignIn(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """By a code to type, where a link is possible, too; in place of one that waits."""

    device: bool = False
    restart: bool = False


class SignInAnswer(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which sign-in, and the whole address that the browser ended at, or the code if one is shown."""

    id: Annotated[str, Meta(max_length=100)]
    redirect: Annotated[str, Meta(min_length=1, max_length=10_000)]


async def check(call: Call) -> Response:
    """The steps of `postbearer check`, as they happen."""
    name, asked = await account_named(call), call.body or NewCheck()
    steps = call.services.operations.checking(name, asked.send_to, by=call.by.principal)
    first = await anext(steps, None)  # what cannot even begin is a problem, and no line
    return StreamingResponse(_lines(first, steps), media_type=LINES)


async def _lines(first: Finding | None, steps: AsyncGenerator[Finding, None]) -> AsyncIterator[bytes]:
    good, error = True, ""
    async with aclosing(steps):
        try:
            if first is not None:
                good = first.ok is not False
                yield _line(first)
            async for finding in steps:
                good = good and finding.ok is not False
                yield _line(finding)
        except TimeoutError:
            good, error = False, "It took too long, and was ended."
        except PostbearerError as failed:
            good, error = False, str(failed)
    yield encode(CheckStep(step="end", ok=good, text=error)) + b"\n"


def _line(finding: Finding) -> bytes:
    told = CheckStep(
        step=finding.step,
        ok=finding.ok,
        text=finding.text,
        server=finding.server,
        cause=finding.cause,
        fix=finding.fix,
        who=finding.who,
        commands=tuple(each.line for each in finding.commands),
        notes=finding.notes,
    )
    return encode(told) + b"\n"


async def begin(call: Call) -> SignInInfo:
    name, asked = await account_named(call), call.body or NewSignIn()
    return await call.services.operations.sign_ins.begin(
        name, device=asked.device, restart=asked.restart, by=call.by.principal
    )


async def shown(call: Call) -> SignInInfo:
    name = await account_named(call)
    try:
        return call.services.operations.sign_ins.show(name)
    except Conflict:
        raise
    except UsageError as error:
        raise HttpProblem("not-found", error.message) from None


async def finish(call: Call) -> SignInInfo:
    name, asked = await account_named(call), call.body
    return await call.services.operations.sign_ins.finish(
        name, asked.id, asked.redirect, by=call.by.principal
    )


ENDPOINTS = (
    ApiEndpoint(
        name="check",
        method="POST",
        path="/v1/accounts/{name}/check",
        needs=TokenScope.OPERATE,
        summary="Find out why its mail does not leave: one line for each step, as it is done.",
        do=check,
        takes=NewCheck,
        body_needed=False,
        answers=CheckStep,
        media_type=LINES,
        problems=("conflict",),
    ),
    ApiEndpoint(
        name="authorize",
        method="POST",
        path="/v1/accounts/{name}/authorize",
        needs=TokenScope.ADMIN,
        summary="Begin to sign in for it: what the person has to open, or to type.",
        do=begin,
        takes=NewSignIn,
        body_needed=False,
        answers=SignInInfo,
        problems=("conflict",),
    ),
    ApiEndpoint(
        name="authorization",
        method="GET",
        path="/v1/accounts/{name}/authorize",
        needs=TokenScope.ADMIN,
        summary="How far its last sign-in is.",
        do=shown,
        answers=SignInInfo,
    ),
    ApiEndpoint(
        name="finish-authorization",
        method="POST",
        path="/v1/accounts/{name}/authorize/finish",
        needs=TokenScope.ADMIN,
        summary="Hand in the address that the browser ended at.",
        do=finish,
        takes=SignInAnswer,
        answers=SignInInfo,
        problems=("conflict",),
    ),
)
