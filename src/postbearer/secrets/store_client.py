"""How a secret store is asked over HTTP, and what its refusals mean.

No answer, 429 and 5xx pass by themselves: `SecretUnavailable`. Whatever else is no success needs a
person: `SecretError`, in the store's own words, without what was sent and without what it keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from postbearer.clock import Clock, SystemClock
from postbearer.errors import NetworkError, RemoteProtocolError, SecretError, SecretUnavailable, UsageError
from postbearer.http import HttpResponse, Text, fetch
from postbearer.redaction import scrub
from postbearer.secret import Secret
from postbearer.secrets.reference import incomplete

TIMEOUT = 15.0  # seconds a request; a read takes three at most
_PASSING = {408, 412, 425, 429}  # 412: this node of a Vault cluster has not heard of it yet


@dataclass(frozen=True, slots=True)
class StoreClient:
    """Where the store behind one reference is asked. `title` is what messages call it."""

    title: str
    url: str
    reference: str
    ca_file: str = ""
    clock: Clock = field(default_factory=SystemClock, compare=False, repr=False)  # for Retry-After

    @property
    def name(self) -> str:
        """The store and its host."""
        return f"{self.title} at {urlsplit(self.url).netloc}"

    async def ask(
        self,
        path: str,
        *,
        headers: Mapping[str, Text] | None = None,
        form: Mapping[str, Text] | None = None,
        content: Secret | None = None,
    ) -> HttpResponse:
        """The answer to a GET of `path`, or to a POST of `form` or `content`, if it is final.

        Raises `SecretUnavailable` when there is none or one that passes, and `SecretError` for a redirect.
        """
        try:
            response = await fetch(
                "GET" if form is None and content is None else "POST",
                f"{self.url}/{path}",
                form=form,
                content=content or b"",
                headers=headers,
                timeout=TIMEOUT,
                ca_file=self.ca_file,
            )
        except (NetworkError, RemoteProtocolError) as error:
            raise SecretUnavailable(
                f"{self.title}: {error.message}",
                reference=self.reference,
                hint=error.hint or f"Check that {self.name} runs and can be reached from this machine.",
            ) from error
        except UsageError as error:
            raise SecretError(error.message, reference=self.reference, hint=error.hint) from None
        if response.status in _PASSING or response.status >= 500:
            raise SecretUnavailable(
                f"{self.name} cannot answer now (HTTP {response.status}){error_text(response)}.",
                reference=self.reference,
                hint="It is asked again by itself. If this lasts, ask those who run it.",
                retry_after=response.retry_after(self.clock.now()),
            )
        if response.redirect:
            raise self.error(
                f"sends us elsewhere, to {scrub(response.redirect, response.sent)}; no secret follows there.",
                "Name the address of the server that answers by itself.",
            )
        return response

    def refused(
        self, response: HttpResponse, doing: str, hint: str, secrets: Sequence[Secret] = ()
    ) -> SecretError:
        """The error for a refusal; `doing` completes "refuses to …"."""
        return self.error(
            f"refuses to {doing} (HTTP {response.status}){error_text(response, secrets)}.", hint
        )

    def error(self, message: str, hint: str = "") -> SecretError:
        """An error that begins with the name of the store."""
        return SecretError(f"{self.name} {message}", reference=self.reference, hint=hint)


def error_text(response: HttpResponse, secrets: Sequence[Secret] = ()) -> str:
    """What a refusal says, behind a colon; empty if it says nothing."""
    text = scrub(_words(response.json()), [*secrets, *response.sent]).strip().rstrip(".")
    return f": {text}" if text else ""


def _words(body: object) -> str:
    """The text of an error: ``{"errors": […]}`` or ``{"error": {"code", "message"}}``."""
    match body:
        case {"errors": [str(), *_] as errors}:
            return "; ".join(str(one).strip() for one in errors)
        case {"error": {"message": str(message)}}:
            return message
        case {"error": {"code": str(code)}} | {"error": str(code)}:
            return code
        case _:
            return ""


def text_in(fields: object, name: str, where: str) -> Secret | str:
    """The text of a field, or what is wrong; the other fields are named, and no value is shown."""
    if not isinstance(fields, dict):
        return f"has no fields at {where}"
    value = fields.get(name)
    if isinstance(value, str) and value:
        return Secret(value)
    if name in fields:
        return f"has {'no text' if value else 'nothing'} in the field {name} of {where}"
    known = scrub(", ".join(sorted(map(str, fields))[:10]), ()) or "none"
    return f"has no field {name} in {where}; its fields: {known}"


def split(rest: str, separator: str, shape: str, reference: str) -> tuple[str, str]:
    """The two parts of a reference. Raises `SecretError` that shows its `shape`."""
    first, _, second = rest.partition(separator)
    if not first or not second:
        raise incomplete(reference, shape)
    return first, second


def url_path(path: str, reference: str) -> str:
    """`path` for a URL. Raises `SecretError` for one that leads elsewhere."""
    parts = path.strip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise SecretError(f"{path} is no path.", reference=reference, hint="Leave out empty parts and dots.")
    return "/".join(quote(part, safe="") for part in parts)
