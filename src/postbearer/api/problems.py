"""What cannot be done, as a document that says what, where and what to do next (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from postbearer.errors import (
    ConfigError,
    Conflict,
    GrantRefused,
    NotPermitted,
    PostbearerError,
    StoreError,
    StoreFull,
    UsageError,
)
from postbearer.reply import Reply

TYPES = "urn:postbearer:problem:"
LONGEST = 1000  # characters of a text
KINDS: Mapping[str, tuple[int, str]] = {  # name → status and title
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "No valid token"),
    "forbidden": (403, "The token may not do this"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This is not done that way"),
    "too-slow": (408, "The request did not come in time"),
    "conflict": (409, "What is there is not what the request goes by"),
    "in-progress": (409, "The same is under way already"),
    "idempotency-key-reused": (409, "The key stands for something else"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "The body is of another kind"),
    "misdirected": (421, "This is not served under that name"),
    "invalid": (422, "The request cannot be accepted"),
    "rate-limited": (429, "Too many messages"),
    "defect": (500, "This is a defect in postbearer"),
    "unavailable": (503, "This cannot be done now"),
    "no-room": (507, "There is no room now"),
}
_OF_STATUS = {status: name for name, (status, _) in KINDS.items()}
INVALID = "invalid_token"  # what is wrong with a token, in the words of RFC 6750 3.1 …
INSUFFICIENT = "insufficient_scope"


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, and where: at `pointer` in the body (RFC 6901), in a query or header field."""

    detail: str
    pointer: Annotated[str, Meta(description="JSON pointer into the body")] = ""
    parameter: Annotated[str, Meta(description="name of a query parameter")] = ""
    header: Annotated[str, Meta(description="name of a header field")] = ""


class ProblemDocument(Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | UnsetType = UNSET
    errors: tuple[Fault, ...] | UnsetType = UNSET
    request: Annotated[str, Meta(description="as in X-Request-Id, and in the log")] | UnsetType = UNSET


class HttpProblem(Exception):
    """Ends the handling of a request; `kind` is one of `KINDS`."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        hint: str = "",
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.hint = hint
        self.errors = tuple(errors)
        self.placed = False  # they are told of the places that another API has
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return KINDS[self.kind][0]

    def document(self, request: str = "") -> ProblemDocument:
        status, title = KINDS[self.kind]
        return ProblemDocument(
            type=TYPES + self.kind,
            title=title,
            status=status,
            detail=plain(self.detail),
            hint=plain(self.hint) or UNSET,
            errors=self.errors or UNSET,
            request=request or UNSET,
        )


class TokenProblem(HttpProblem):
    """No token, one that is not valid, or one that is not for this: it needs the `scope`."""

    def __init__(self, detail: str, *, hint: str = "", error: str = "", scope: str = "") -> None:
        """`error` is as RFC 6750 3.1 calls it; empty if there is no token."""
        super().__init__("forbidden" if error == INSUFFICIENT else "unauthorized", detail, hint=hint)
        self.error = error
        self.scope = scope


class MissingField(HttpProblem):
    """A field that has to be there is not."""

    def __init__(self, pointer: str) -> None:
        fault = Fault(detail="It is missing.", pointer=pointer)
        super().__init__("invalid", f"{pointer}: {fault.detail}", errors=[fault])


def at(
    detail: str,
    *,
    pointer: str = "",
    parameter: str = "",
    header: str = "",
    hint: str = "",
    kind: str = "invalid",
) -> HttpProblem:
    """A problem of one place in the request."""
    fault = Fault(detail=plain(detail), pointer=pointer, parameter=parameter, header=header)
    where = pointer or parameter or header
    return HttpProblem(kind, f"{where}: {detail}" if where else detail, hint=hint, errors=[fault])


def of_status(status: int) -> str:
    """The kind of problem that has this status."""
    return _OF_STATUS[status]


def of_error(error: PostbearerError) -> HttpProblem:
    """What an error of ours is to a client."""
    match error:
        case NotPermitted():
            kind = "forbidden"
        case StoreFull():
            kind = "no-room"
        case StoreError():
            kind = "unavailable"
        case ConfigError():  # of accounts that are none
            kind = "not-found"
        case GrantRefused():  # of a sign-in: what the person, or the authorization server, said
            kind = "invalid"
        case Conflict():
            kind = "conflict"
        case UsageError():
            kind = "invalid"
        case _:
            kind = "unavailable"
    return HttpProblem(kind, error.message, hint=error.hint)


_OF_REPLY: Mapping[str, str] = {  # enhanced status (RFC 3463) → kind
    "4.3.0": "unavailable",
    "4.3.1": "no-room",
    "4.7.1": "rate-limited",
    "5.3.4": "too-large",
    "5.5.0": "idempotency-key-reused",
    "5.7.1": "forbidden",
}
_HINTS: Mapping[str, str] = {
    "idempotency-key-reused": "Use a new key for each message, and the same only to send it again.",
    "no-room": "The relay's disk is full: free some, and send it again.",
}


def of_reply(reply: Reply) -> HttpProblem:
    """What a refusal of the intake is to a client."""
    status = str(reply.enhanced or "")
    kind = _OF_REPLY.get(status, "invalid" if reply.code >= 500 else "unavailable")
    text = reply.text.removeprefix(status).strip().rstrip(".")
    hint = _HINTS.get(kind, "")
    return HttpProblem(kind, f"{text}.", hint=hint, headers=retry_after(kind))


def retry_after(kind: str) -> dict[str, str]:
    """When to come back, where that helps."""
    return {"retry-after": "60"} if kind in ("rate-limited", "unavailable", "no-room") else {}


def plain(text: str) -> str:
    """What others said, on one line and without characters that change how the rest of it looks."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)[:LONGEST]
