"""The token endpoint: how it is asked, and what its answers mean (RFC 6749 5.1, 5.2).

Answers are judged by the ``error`` word and the HTTP status, never by a vendor's numbers or prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from postbearer.errors import (
    CredentialError,
    GrantRefused,
    NetworkError,
    RemoteProtocolError,
    TokenUnavailable,
    UsageError,
)
from postbearer.http import TIMEOUT, HttpResponse, check_url, fetch
from postbearer.oauth.token import TokenAnswer, UnusableToken, read_token
from postbearer.redaction import scrub
from postbearer.secret import Secret

NOT_JSON = "not_json"  # code of the error for a 200 that is no token answer: a proxy or captive portal
UNFIT = "unfit_token"  # code of the error for a token that must not be used

SIGN_IN_AGAIN = "Sign in again, and put the new refresh token or password where the old one was."
AGREE = "Sign in again, and agree to what the page asks for."  # in its place while somebody signs in

_TRANSIENT_STATUS = {408, 425, 429}
_TRANSIENT = {"temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded"}
_PERSON = {  # error word -> who can cure it
    "invalid_grant": "mailbox user",
    "interaction_required": "mailbox user",
    "login_required": "mailbox user",
    "access_denied": "mailbox user",
    "expired_token": "mailbox user",
    "authorization_declined": "mailbox user",
    "bad_verification_code": "mailbox user",
    "consent_required": "tenant admin",
}
# Entra's second word for an invalid_grant, where nothing is wrong with what was granted.
_SUBERRORS = {
    "consent_required": "tenant admin",
    "basic_action": "tenant admin",
    "additional_action": "tenant admin",
}
_CONFIGURATION = {
    "invalid_client": ("app owner", "Check client-id and client-secret: wrong, expired, or of another app."),
    "unauthorized_client": ("app owner", "Check that this client may use this grant, in this tenant."),
    "invalid_scope": ("app owner", "Check scopes."),
    "invalid_resource": ("app owner", "Check scopes: the resource is unknown to this tenant."),
    "unsupported_grant_type": ("host operator", "Choose a grant that this server supports."),
    "invalid_request": ("host operator", "Check token-url, client-id and scopes."),
    "redirect_uri_mismatch": ("app owner", "Register the redirect URI at the provider."),
    "deleted_client": ("app owner", "Create a new client at the provider."),
    "disabled_client": ("app owner", "Enable the client at the provider."),
    "admin_policy_enforced": ("tenant admin", "Have the administrator trust the app."),
    "org_internal": ("app owner", "Use an account of the organisation that owns the app."),
}
_NOTABLE_SKEW = 60.0  # seconds
_WORD = re.compile(r"[\x20-\x7e]{1,64}\Z")
_WORDS = ("status", "type", "code")  # of an error that is an object, where its word may be
_SAYINGS = (
    "error_description",
    "message",
    "detail",
    "title",
    "error_message",
    "errorMessage",
    "errorSummary",
)
_DEEPEST = 3  # errors within errors
_TAG = re.compile(r"<[^<>]*>")
_TRACES = ("trace_id", "correlation_id")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request a grant wants made; secrets stay `Secret` until they leave."""

    url: str
    form: Mapping[str, str | Secret] = field(default_factory=dict)
    headers: Mapping[str, str | Secret] = field(default_factory=dict)
    method: str = "POST"
    platform: bool = False  # to the identity service that a cloud gives its machines
    hint: str = ""  # what to do when nobody answers, if the way there does not say


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where tokens come from. Raises `UsageError` for a URL that secrets must not go to.

    Without a `url` it is discovered at the `issuer`; without either, nobody is asked.
    """

    url: str
    timeout: float = TIMEOUT  # seconds for a whole exchange
    ca_file: str = ""
    proxy: str | None = field(default=None, repr=False)
    issuer: str = ""

    def __post_init__(self) -> None:
        for name, url in (("token_url", self.url), ("issuer", self.issuer)):
            try:
                if url:
                    check_url(url)
            except UsageError as error:
                raise UsageError(f"{name}: {error.message}", hint=error.hint) from None

    @property
    def place(self) -> str:
        """The address that stands for it."""
        return self.url or self.issuer

    async def send(self, request: TokenRequest, account: str = "") -> HttpResponse:
        """The answer, whatever it says. Raises `TokenUnavailable` when there is none.

        Raises `GrantRefused` for a request that cannot be made as it is configured.
        """
        try:
            return await fetch(
                request.method,
                request.url,
                form=request.form if request.method == "POST" else None,
                headers=request.headers,
                timeout=self.timeout,
                ca_file=self.ca_file,
                proxy=self.proxy,
                platform=request.platform,
            )
        except (NetworkError, RemoteProtocolError) as error:
            raise TokenUnavailable(
                f"No token for {account or 'the account'}: {error.message}",
                account=account,
                hint=request.hint or error.hint,
            ) from error
        except UsageError as error:  # the platform names a wrong address, or a secret has a line end in it
            raise GrantRefused(
                error.message,
                account=account,
                code="unfit_request",
                who="host operator",
                hint=error.hint,
                configuration=True,
            ) from None


def read_answer(
    response: HttpResponse, url: str, *, now: float, account: str = "", secrets: Iterable[Secret] = ()
) -> TokenAnswer:
    """The token in `response` of the endpoint `url`.

    Raises `TokenUnavailable` when asking again later can help, and `GrantRefused` when a person must
    act. A server that echoes what was sent, or one of `secrets` that it was made of, does not get it into our
    message.
    `now` is Unix time, for Retry-After and for the skew of our clock.
    """
    # As in http.fetch, the verdict is raised from here, where no answer lies open in a local variable.
    known = (*secrets, *response.sent)
    verdict = _Reading(response, urlsplit(url).hostname or "", account, known, now).judge()
    if isinstance(verdict, CredentialError):
        raise verdict
    return verdict


def read_refusal(
    fields: Mapping[str, object], url: str, *, account: str = "", secrets: Iterable[Secret] = ()
) -> CredentialError:
    """What the ``error`` in `fields`, a redirect from the server of `url`, means (RFC 6749 4.1.2.1)."""
    return _Reading(HttpResponse(400), urlsplit(url).hostname or "", account, tuple(secrets), 0.0).refusal(
        fields
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    response: HttpResponse
    host: str
    account: str
    secrets: tuple[Secret, ...]
    now: float

    def judge(self) -> TokenAnswer | CredentialError:
        fields = self.response.json()
        if not self.response.ok:
            fields = _error_fields(fields, self.response)
        if not isinstance(fields, dict):
            return self._not_json()
        if fields.get("error"):
            return self.refusal(fields)
        if not self.response.ok:
            return self._wrong_status(_complaint(fields)[1])
        try:
            return replace(read_token(fields), clock=self._skew())
        except UnusableToken as unfit:
            return self._refused(
                f"{self.host} gave a token that cannot be used: {unfit}.",
                code=UNFIT,
                hint="Check that token-url is the token endpoint of the right server.",
            )

    def refusal(self, fields: Mapping[str, object]) -> CredentialError:
        word, said = _complaint(fields)
        code = scrub(word, self.secrets) if _WORD.match(word) else "unreadable error"
        text = f"{self.host} refused: {code}{self._quoted(said)}"
        for name in _TRACES:
            value = fields.get(name)
            if isinstance(value, str) and _WORD.match(value):
                text += f" ({name} {scrub(value, self.secrets)})"
        text += "."
        if code in _PERSON:
            hint = "" if self._skew() else SIGN_IN_AGAIN
            who = _SUBERRORS.get(str(fields.get("suberror")), _PERSON[code])
            return self._refused(text, code=code, who=who, hint=hint, configuration=False)
        if code in _CONFIGURATION:
            who, hint = _CONFIGURATION[code]
            return self._refused(text, code=code, who=who, hint=hint)
        if code in _TRANSIENT or self._transient_status():
            return self._later(text, code)
        return self._refused(text, code=code)

    def _quoted(self, said: str) -> str:
        """What the server said, behind a colon; empty if it said nothing."""
        words = scrub(said, self.secrets).strip().rstrip(".")
        return f": {words}" if words else ""

    def _not_json(self) -> CredentialError:
        if self.response.redirect:
            return self._wrong_status()
        if self.response.ok:
            return self._later(
                f"{self.host} answered HTTP {self.response.status} with something that is not JSON: "
                "a proxy or captive portal may stand in between.",
                NOT_JSON,
            )
        return self._wrong_status(_prose(self.response))

    def _wrong_status(self, said: str = "") -> CredentialError:
        status, target = self.response.status, self.response.redirect
        if target:
            return self._refused(
                f"{self.host} answered with a redirect (HTTP {status}) to {scrub(target, self.secrets)}; "
                "redirects are not followed with secrets.",
                code="redirect",
                hint="Check token-url.",
            )
        if self._transient_status():
            return self._later(f"{self.host} answered HTTP {status}{self._quoted(said)}.", "")
        return self._refused(
            f"{self.host} answered HTTP {status} and no OAuth error{self._quoted(said)}.",
            code=f"http_{status}",
            hint="Check token-url.",
        )

    def _transient_status(self) -> bool:
        return self.response.status in _TRANSIENT_STATUS or self.response.status >= 500

    def _later(self, text: str, code: str) -> TokenUnavailable:
        return TokenUnavailable(
            text, account=self.account, code=code, retry_after=self.response.retry_after(self.now)
        )

    def _refused(
        self, text: str, *, code: str, who: str = "host operator", hint: str = "", configuration: bool = True
    ) -> GrantRefused:
        return GrantRefused(
            text,
            account=self.account,
            code=code,
            who=who,
            hint=f"{hint} {self._skew()}".strip(),
            configuration=configuration,
        )

    def _skew(self) -> str:
        skew = self.response.clock_skew(self.now)
        if skew is None or abs(skew) < _NOTABLE_SKEW:
            return ""
        return (
            f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's."
        )


def _error_fields(answer: object, response: HttpResponse) -> object:
    """The fields of an error, which some put into a list, or write as a form."""
    if isinstance(answer, list) and answer:
        return answer[0]
    if answer is None and response.body.startswith(b"error="):
        return dict(parse_qsl(response.body.decode("utf-8", "replace"), max_num_fields=100))
    return answer


def _complaint(fields: Mapping[str, object]) -> tuple[str, str]:
    """The error word and what was said about it: as RFC 6749 5.2 has it, or as gateways do."""
    word, said = "", ""
    for depth, level in enumerate(_levels(fields)):
        words = (level.get(name) for name in (("error", *_WORDS) if depth else ("error",)))
        word = word or next((str(each) for each in words if _is_word(each)), "")
        texts = (level.get(name) for name in _SAYINGS)
        said = said or next((each for each in texts if isinstance(each, str) and each.strip()), "")
    return word, said


def _levels(fields: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """`fields`, and the error within, and the one within that."""
    for _ in range(_DEEPEST):
        yield fields
        inner = next((fields[name] for name in ("error", "errors", "fault") if fields.get(name)), None)
        inner = inner[0] if isinstance(inner, list) else inner
        if not isinstance(inner, dict):
            return
        fields = inner


def _is_word(value: object) -> bool:
    return bool(value) and isinstance(value, str | int) and not isinstance(value, bool)


def _prose(response: HttpResponse) -> str:
    """The text of an answer that is no JSON, unless it is a page for a browser."""
    text = response.body[:4096].decode("utf-8", "replace").strip()
    return "" if re.match(r"<!doctype|<html", text, re.IGNORECASE) else _TAG.sub(" ", text)
