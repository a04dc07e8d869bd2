"""How the clients of one API say who they are, and are told what cannot be done.

Ours is one face. Others are those of hosted mail APIs: the same is asked, in shapes and words that programs
speak already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from msgspec import Struct
from msgspec.json import encode
from msgspec.structs import replace
from starlette.responses import Response

from postbearer.api.problems import (
    INSUFFICIENT,
    INVALID,
    Fault,
    HttpProblem,
    ProblemDocument,
    TokenProblem,
    of_status,
    plain,
)
from postbearer.http_guard import Send

_NUMBER = re.compile(r"/\d+(?=/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One API, as far as all of its endpoints agree.

    `tell` makes of a problem, and the id of the request, a status and what the body says: a `document`.
    """

    name: str  # of how one says who one is, in the OpenAPI document
    document: type[Struct]
    tell: Callable[[HttpProblem, str], tuple[int, Struct]]
    media_type: str = "application/json"  # of what is told
    header: str = "Authorization"  # where the token is
    below: str = ""  # where its paths are; whatever else is asked there is answered in its shape, too
    scheme: str = "Bearer"  # in front of it (RFC 9110 11.4); empty: the token is all there is

    def token(self, field: str) -> str | None:
        """The token in the header field, or None if it is another scheme's."""
        if not self.scheme:
            return field.strip()
        scheme, _, text = field.partition(" ")
        return text.strip() if scheme.lower() == self.scheme.lower() else None

    @property
    def usage(self) -> str:
        """How a token is sent."""
        return f"{self.header}: {self.scheme} TOKEN" if self.scheme else f"{self.header}: TOKEN"

    @property
    def security(self) -> Mapping[str, str]:
        """The same for OpenAPI."""
        how = {"type": "apiKey", "in": "header", "name": self.header}
        if self.scheme:
            how = {"type": "http", "scheme": self.scheme.lower()}
        return {**how, "description": "made by `postbearer api-token create`"}

    def statuses(self, kind: str) -> set[int]:
        """The statuses under which problems of a kind are told."""
        return {self.tell(each, "")[0] for each in _of_kind(kind)}

    def fields(self, problem: HttpProblem) -> Mapping[str, str]:
        """The header fields beside it, with a challenge where it is about a token (RFC 9110 11.6.1)."""
        if not self.scheme or not isinstance(problem, TokenProblem):
            return problem.headers
        said = {"error": problem.error, "scope": problem.scope}
        words = ", ".join(f'{name}="{value}"' for name, value in said.items() if value)
        return {**problem.headers, "www-authenticate": f"{self.scheme} {words}".strip()}


@contextmanager
def told_of(place: Callable[[str], str], words: Mapping[str, str]) -> Iterator[None]:
    """What is wrong inside is told of the places that `place` makes of ours, and in `words`, if it has some.

    They are by place, without the numbers in lists. What was told so inside stays as it is.
    """
    try:
        yield
    except HttpProblem as problem:
        move(problem, place, words)
        raise


def renamed(pointer: str, names: Mapping[str, str]) -> str:
    """Where it stands by the `names` of an API; those of header fields are somebody's own."""
    path, headers, own = pointer.partition("/headers/")
    return "/".join(names.get(step, step) for step in path.split("/")) + headers + own


def move(problem: HttpProblem, place: Callable[[str], str], words: Mapping[str, str]) -> None:
    """Have a problem told as `told_of` has it."""
    if problem.placed:
        return
    made = [replace(fault, pointer=place(fault.pointer)) for fault in problem.errors]
    problem.errors = tuple(
        replace(fault, detail=words.get(_NUMBER.sub("", fault.pointer), fault.detail)) for fault in made
    )
    problem.placed = True


def in_words(problem: HttpProblem) -> str:
    """What cannot be done, where and what to do, as one text."""
    said = [
        f"`{field}`: {fault.detail}" if (field := field_of(fault)) else fault.detail
        for fault in problem.errors
    ]
    return plain(" ".join(filter(None, (*(said or [problem.detail]), problem.hint))))


def field_of(fault: Fault) -> str:
    """Where it is, as programs write it: ``attachments[0].filename``."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in fault.pointer.split("/")[1:]]
    path = "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps).lstrip(".")
    return path or fault.parameter or fault.header


def _of_kind(kind: str) -> Sequence[HttpProblem]:
    match kind:
        case "unauthorized":
            return TokenProblem(""), TokenProblem("", error=INVALID)
        case "forbidden":
            return HttpProblem(kind, ""), TokenProblem("", error=INSUFFICIENT)
        case _:
            return (HttpProblem(kind, ""),)


def _as_problem_document(problem: HttpProblem, request: str) -> tuple[int, Struct]:
    return problem.status, problem.document(request)


NATIVE = Face(
    name="token",
    document=ProblemDocument,
    tell=_as_problem_document,
    media_type="application/problem+json",
)


async def refuse(face: Face, send: Send, status: int, text: str) -> None:
    """Answer for who looks at requests before the application does."""
    hint = "The names that it is asked by stand in http.allowed-hosts." if status == 421 else ""
    await respond(face, send, HttpProblem(of_status(status), text, hint=hint))


async def respond(
    face: Face, send: Send, problem: HttpProblem, request: str = "", *, close: bool = True
) -> None:
    """Answer with a document; with `close`, what was not read of the request is no further one."""
    status, document = face.tell(problem, request)
    body = encode(document)
    headers = [(b"content-type", face.media_type.encode()), (b"content-length", b"%d" % len(body))]
    for name, value in face.fields(problem).items():
        headers.append((name.encode(), value.encode("latin-1", "replace")))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def handed_in(body: object, *, repeated: bool) -> Response:
    """What a face answers to a message that is on the disk, or was by an earlier request."""
    headers = {"idempotent-replayed": "true"} if repeated else {}
    return Response(encode(body), 200, headers, "application/json")
