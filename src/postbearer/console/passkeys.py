"""Passkeys (WebAuthn): who has one logs in by it alone, as the device asks for its PIN or a finger first.

What is kept of them is public: a key that checks signatures, and whose login it is of. It is bound to that
login's password, so that a password that is changed, or a login that is taken out, ends its passkeys, too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode
from msgspec.structs import replace

from postbearer.clock import Clock
from postbearer.errors import StoreError, UsageError
from postbearer.state import FileLock, StateFolder, read_private, write_private

if TYPE_CHECKING:
    from postbearer.console.logins import ConsoleLogin

LIFETIME = 600  # seconds of a challenge
MOST = 20  # of one login
_FILE = "passkeys"
_TAG = 16  # octets
_LONGEST = 60  # characters of a name
_REFUSED = "This passkey was not taken."


class Site(NamedTuple):
    """What a passkey is good for, as the browser sees it: ``relay.example.org`` and its origin."""

    host: str
    origin: str


class Passkey(Struct, frozen=True, kw_only=True):
    """One. `count` is how often its device says that it was used; times are Unix seconds."""

    id: str
    login: str
    bound: str
    key: str
    name: str
    count: int
    made: float
    used: float | None = None


class _Kept(Struct, frozen=True):
    passkeys: tuple[Passkey, ...] = ()


class Challenges:
    """What a browser is to have signed: made by chance, good for a while, once, and for one purpose.

    They carry their own proof, so that nobody can fill a memory by asking for many.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[bytes, int] = {}  # those that were used → their end

    def make(self, purpose: str) -> bytes:
        body = secrets.token_bytes(16) + (int(self._clock.monotonic()) + LIFETIME).to_bytes(8, "big")
        return body + self._tag(body, purpose)

    def use(self, challenge: bytes, purpose: str) -> bool:
        """Whether it was made here for `purpose`, and is good; from then on it is not."""
        body, tag = challenge[:-_TAG], challenge[-_TAG:]
        if not hmac.compare_digest(tag, self._tag(body, purpose)):
            return False
        now, ends = self._clock.monotonic(), int.from_bytes(body[16:], "big")
        self._used = {each: end for each, end in self._used.items() if end > now}
        if ends <= now or body in self._used:
            return False
        self._used[body] = ends
        return True

    def _tag(self, body: bytes, purpose: str) -> bytes:
        return hmac.digest(self._key, len(body).to_bytes(4, "big") + body + purpose.encode(), "sha256")[:_TAG]


class Passkeys:
    """Those of one relay. What reads or writes them raises `StoreError`."""

    def __init__(self, state: StateFolder, clock: Clock) -> None:
        self._state = state
        self._path = os.path.join(state.path, _FILE)
        self._clock = clock
        self._challenges = Challenges(clock)

    @property
    def offered(self) -> bool:
        """Whether what checks them is installed: the extra `passkeys`."""
        return find_spec("webauthn") is not None

    def of(self, login: ConsoleLogin) -> Sequence[Passkey]:
        """Those by which `login` comes in."""
        return [each for each in self._read() if fits(each, login)]

    def to_register(self, login: ConsoleLogin, purpose: str, site: Site) -> str:
        """What the browser needs to make one, as JSON (WebAuthn 5.1.3)."""
        from webauthn import generate_registration_options, options_to_json
        from webauthn.helpers import base64url_to_bytes, structs

        options = generate_registration_options(
            rp_id=site.host,
            rp_name="postbearer",
            user_name=login.name,
            user_id=hashlib.sha256(f"postbearer:{login.name}".encode()).digest(),
            challenge=self._challenges.make(purpose),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.id))
                for each in self.of(login)
            ],
        )
        return options_to_json(options)

    def register(self, login: ConsoleLogin, name: str, answer: str, purpose: str, site: Site) -> Passkey:
        """Keep the passkey that the browser made. Raises `UsageError`."""
        from webauthn import verify_registration_response
        from webauthn.helpers import bytes_to_base64url, parse_registration_credential_json
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            credential = parse_registration_credential_json(answer)
            found = verify_registration_response(
                credential=credential,
                expected_challenge=self._challenge(credential.response.client_data_json, purpose),
                expected_rp_id=site.host,
                expected_origin=site.origin,
                require_user_verification=True,
            )
        except WebAuthnException as error:
            raise UsageError(f"{_REFUSED} {error}.", hint="Load the page anew, and try again.") from None
        made = Passkey(
            id=bytes_to_base64url(found.credential_id),
            login=login.name,
            bound=_bound(login),
            key=bytes_to_base64url(found.credential_public_key),
            name=" ".join(name.split())[:_LONGEST] or "passkey",
            count=found.sign_count,
            made=self._clock.now(),
        )
        with self._alone():
            kept = self._read()
            if sum(each.login == login.name for each in kept) >= MOST:
                raise UsageError(f"{login.name} has {MOST} passkeys already.", hint="Remove one.")
            self._write((*(each for each in kept if each.id != made.id), made))
        return made

    def remove(self, login: ConsoleLogin, identifier: str) -> bool:
        """Forget one of `login`; whether there was such a one."""
        with self._alone():
            kept = self._read()
            left = tuple(each for each in kept if each.login != login.name or each.id != identifier)
            if len(left) < len(kept):
                self._write(left)
        return len(left) < len(kept)

    def to_log_in(self, site: Site) -> str:
        """What the browser needs to show one, as JSON (WebAuthn 5.1.4)."""
        from webauthn import generate_authentication_options, options_to_json
        from webauthn.helpers.structs import UserVerificationRequirement

        options = generate_authentication_options(
            rp_id=site.host,
            challenge=self._challenges.make("login"),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    def check(self, answer: str, site: Site) -> Passkey | None:
        """The passkey that `answer` proves; None: it proves none."""
        from webauthn import verify_authentication_response
        from webauthn.helpers import base64url_to_bytes, parse_authentication_credential_json
        from webauthn.helpers.exceptions import WebAuthnException

        with self._alone():
            kept = self._read()
            try:
                credential = parse_authentication_credential_json(answer)
                known = next((each for each in kept if each.id == credential.id), None)
                if known is None:
                    return None
                found = verify_authentication_response(
                    credential=credential,
                    expected_challenge=self._challenge(credential.response.client_data_json, "login"),
                    expected_rp_id=site.host,
                    expected_origin=site.origin,
                    credential_public_key=base64url_to_bytes(known.key),
                    credential_current_sign_count=known.count,
                    require_user_verification=True,
                )
            except WebAuthnException:
                return None
            used = replace(known, count=found.new_sign_count, used=self._clock.now())
            self._write(tuple(used if each is known else each for each in kept))
        return used

    def _challenge(self, client_data: bytes, purpose: str) -> bytes:
        """The challenge that was signed, if it is one of ours; else one that fits nothing."""
        from webauthn.helpers import parse_client_data_json

        given = parse_client_data_json(client_data).challenge
        return given if self._challenges.use(given, purpose) else secrets.token_bytes(32)

    def _alone(self) -> FileLock:
        self._state.writable()
        return FileLock(f"{self._path}.lock")

    def _read(self) -> tuple[Passkey, ...]:
        octets = read_private(self._path)
        if octets is None:
            return ()
        try:
            return decode(octets, type=_Kept).passkeys
        except DecodeError as error:
            raise StoreError(
                f"{self._path} is damaged: {error}.",
                hint="Restore it from a backup; or remove it, and add the passkeys anew.",
                configuration=True,
            ) from None

    def _write(self, passkeys: Sequence[Passkey]) -> None:
        write_private(self._path, encode(_Kept(tuple(passkeys))))


def _bound(login: ConsoleLogin) -> str:
    return hashlib.sha256(f"{login.name}\0{login.password_hash}".encode()).hexdigest()


def fits(passkey: Passkey, login: ConsoleLogin | None) -> bool:
    """Whether `login` is the one that the passkey was made for, as it was then."""
    return (
        login is not None
        and passkey.login == login.name
        and hmac.compare_digest(passkey.bound, _bound(login))
    )
