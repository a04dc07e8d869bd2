"""Signing in on another machine's browser (RFC 8628): a code to type, and asking until it was typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from postbearer.clock import Clock
from postbearer.errors import GrantRefused, TokenUnavailable
from postbearer.http import HttpResponse
from postbearer.oauth.endpoint import AGREE, SIGN_IN_AGAIN, Endpoint, TokenRequest, read_answer
from postbearer.oauth.grants import GrantContext, client_fields
from postbearer.oauth.inputs import read_secrets
from postbearer.oauth.person import PersonGrant, accepted
from postbearer.oauth.token import TokenAnswer
from postbearer.secret import Secret

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628 3.4
_INTERVAL = 5.0  # seconds, where the server names none (3.2), and what slow_down adds (3.5)
_EXPIRES = 900.0  # seconds, where the server breaks the rule that it says so
_LONGEST_WAIT = 60.0  # seconds to which failures of the way lengthen the time between two questions


@dataclass(frozen=True, slots=True)
class DeviceCode(PersonGrant):
    """A sign-in by a code that a person types elsewhere; from then on a refresh token (RFC 6749 6)."""

    name: ClassVar[str] = "device-code"
    meaning: ClassVar[str] = "A person signs in once, in any browser, by a code."
    endpoints: ClassVar[tuple[str, ...]] = ("token-url", "device-url")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the person is to do: open `url` and type `code`, within `seconds`."""

    url: str
    code: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Begun:
    device_code: Secret
    invitation: Invitation
    interval: float


@dataclass(slots=True)
class DeviceSignIn:
    """One sign-in for `account` with `grant`, whichever it is, asked for at `endpoint`."""

    grant: PersonGrant
    endpoint: Endpoint
    clock: Clock
    account: str = ""
    _secrets: dict[str, Secret] = field(default_factory=dict, repr=False)

    async def run(self, show: Callable[[Invitation], object]) -> TokenAnswer:
        """`show` what the person has to do, and wait until it is done.

        Raises `GrantRefused` when it was declined, came too late, brings no refresh token or is another
        person's, and `TokenUnavailable` when the server cannot be reached to begin with.
        """
        self._secrets = await read_secrets(self.grant.sources())
        begun = await self._begin()
        show(begun.invitation)
        return accepted(await self._wait(begun), self.grant, self.account)

    async def _begin(self) -> _Begun:
        form, headers = client_fields(self.grant, self._context)
        response = await self.endpoint.send(TokenRequest(self.grant.device_url, form, headers), self.account)
        begun = _read_begun(response)
        if begun is None:
            read_answer(
                response,
                self.grant.device_url,
                account=self.account,
                secrets=self._secrets.values(),
                now=self.clock.now(),
            )
            raise self._refused(
                "The device authorization endpoint answered with something else than a code.",
                "no_device_code",
                "Check device-url.",
            )
        return begun

    async def _wait(self, begun: _Begun) -> TokenAnswer:
        interval = begun.interval
        ends = self.clock.monotonic() + begun.invitation.seconds
        while True:
            await self.clock.sleep(interval)
            if self.clock.monotonic() >= ends:
                raise self._refused("Nobody typed the code in time.", "expired_token", "Begin again.")
            try:
                return await self._ask(begun)
            except TokenUnavailable as later:
                # RFC 8628 3.5: 5 s more when the server says so, twice as long when the way fails.
                # Never less than the server asked for.
                if later.code == "slow_down":
                    interval += _INTERVAL
                else:
                    interval = max(interval, min(interval * 2, _LONGEST_WAIT), later.retry_after or 0.0)
            except GrantRefused as refused:
                if refused.code != "authorization_pending":
                    refused.hint = refused.hint.replace(SIGN_IN_AGAIN, AGREE)
                    raise

    async def _ask(self, begun: _Begun) -> TokenAnswer:
        form, headers = client_fields(self.grant, self._context, scopes=False)
        form |= {"grant_type": _GRANT, "device_code": begun.device_code}
        response = await self.endpoint.send(TokenRequest(self.endpoint.url, form, headers), self.account)
        secrets = [begun.device_code, *self._secrets.values()]
        return read_answer(
            response, self.endpoint.url, account=self.account, secrets=secrets, now=self.clock.now()
        )

    @property
    def _context(self) -> GrantContext:
        return GrantContext(self.endpoint.url, self.account, self._secrets, now=self.clock.now())

    def _refused(self, text: str, code: str, hint: str) -> GrantRefused:
        return GrantRefused(text, account=self.account, code=code, who="mailbox user", hint=hint)


def _read_begun(response: HttpResponse) -> _Begun | None:
    fields = response.json()
    if not response.ok or not isinstance(fields, dict):
        return None
    device, user = fields.get("device_code"), fields.get("user_code")
    url = fields.get("verification_uri") or fields.get("verification_url")  # the draft's name lives on
    if not (isinstance(device, str) and isinstance(user, str) and isinstance(url, str)):
        return None
    if not all(text and text.isprintable() for text in (device, user, url)):
        return None  # what is shown to a person must not move the cursor
    seconds, interval = (
        _number(fields.get("expires_in"), _EXPIRES),
        _number(fields.get("interval"), _INTERVAL),
    )
    return _Begun(Secret(device), Invitation(url, user, seconds), interval)


def _number(value: object, otherwise: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 86_400
    return float(value) if good and isinstance(value, int | float) else otherwise
