"""``keyring:service/user``: a password in the keyring of a desktop or an operating system."""

from __future__ import annotations

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.redaction import scrub
from postbearer.secret import ByPlace, Secret
from postbearer.secrets.reference import ReferenceContext, incomplete, need
from postbearer.secrets.threads import in_thread

TIMEOUT = 30.0  # seconds: a keyring may ask a person to unlock it


class KeyringSecret(ByPlace):
    """The password of `user` for `service`."""

    def __init__(self, service: str, user: str, reference: str) -> None:
        self._service = service
        self._user = user
        self.reference = reference

    def __repr__(self) -> str:
        return f"KeyringSecret({self._service!r}, {self._user!r})"

    async def read(self) -> Secret:
        try:
            found = await in_thread(self._look, TIMEOUT)
        except TimeoutError:
            raise SecretUnavailable(
                f"The keyring did not answer within {TIMEOUT:g} s.",
                reference=self.reference,
                hint="Unlock it. Where nobody is logged in, take systemd: or sealed: instead.",
            ) from None
        if isinstance(found, SecretError):
            raise found
        return found

    def _look(self) -> Secret | SecretError:
        import keyring
        from keyring import errors

        try:
            value = keyring.get_password(self._service, self._user)
        except errors.KeyringLocked:
            return self._error("The keyring is locked.", "Unlock it, or log in where it is unlocked.")
        except errors.NoKeyringError:
            return self._error(
                "There is no keyring for this user.",
                "Services have none, nor has a machine without a desktop: take systemd: or sealed: there.",
            )
        except Exception as error:  # a backend may fail in any way
            said = f"{type(error).__name__}: {scrub(str(error), ())}".rstrip(".: ")
            return self._error(
                f"The keyring {keyring.get_keyring().name} fails: {said}.",
                "Test it: python -m keyring get SERVICE USER",
            )
        if not value:
            return self._error(
                f"The keyring has no password for {self._user} at {self._service}.",
                f"Put it there: python -m keyring set {self._service} {self._user}",
            )
        return Secret(value)

    def _error(self, message: str, hint: str) -> SecretError:
        return SecretError(message, reference=self.reference, hint=hint)


def open_keyring(rest: str, place: ReferenceContext) -> KeyringSecret:
    """The source for ``keyring:rest``. Raises `SecretError` when the extra is not installed."""
    reference = f"{place.scheme}:{rest}"
    service, _, user = rest.rpartition("/")  # the service may be a URL
    if not service or not user:
        raise incomplete(reference, f"{place.scheme}:service/user")
    need("keyring", "keyring", reference)
    return KeyringSecret(service, user, reference)
