"""``keyring:``, with keyrings of the tests; tests/servers/test_keyring.py has a real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as EmptyKeyring
from keyring.errors import InitError, KeyringLocked

from postbearer.errors import SecretError, SecretUnavailable
from postbearer.secret import Secret
from postbearer.secrets import keyring as ours
from postbearer.secrets import source
from support.canary import assert_absent
from support.planted import told

CANARY = "0.AAACANARY~client-secret"


class Kept(KeyringBackend):
    """A keyring in memory; `fails` may raise first."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, fails: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._fails = fails

    def get_password(self, service: str, username: str) -> str | None:
        self._fails()
        return {("https://mail.example.org/x", "alerts@example.org"): CANARY}.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


def raising(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def use() -> Iterator[Callable[[KeyringBackend], None]]:
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


Use = Callable[[KeyringBackend], None]


async def test_a_password_is_read(use: Use) -> None:
    use(Kept())
    assert await source("keyring:https://mail.example.org/x/alerts@example.org").read() == Secret(CANARY)


@pytest.mark.parametrize(
    ("backend", "says", "hint"),
    [
        (EmptyKeyring(), "has no password for alerts at mail", "keyring set mail alerts"),
        (NoKeyring(), "no keyring for this user", "systemd: or sealed:"),
        (Kept(raising(KeyringLocked("Failed to unlock"))), "is locked", "Unlock it"),
        (Kept(raising(InitError("no bus"))), "fails: InitError: no bus", "keyring get"),
        (Kept(raising(OSError(5, "broken"))), "fails: OSError", ""),
    ],
)
async def test_what_is_wrong_is_told(use: Use, backend: KeyringBackend, says: str, hint: str) -> None:
    use(backend)
    with pytest.raises(SecretError, match=says) as caught:
        await source("keyring:mail/alerts").read()
    assert hint in caught.value.hint
    assert_absent(CANARY, told(caught.value))


async def test_a_keyring_that_asks_a_person_who_is_not_there(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "TIMEOUT", 0.05)
    gone = threading.Event()
    use(Kept(gone.wait))
    try:
        with pytest.raises(SecretUnavailable, match="did not answer"):
            await source("keyring:mail/alerts").read()
    finally:
        gone.set()


@pytest.mark.parametrize("rest", ["mail", "mail/", "/alerts"])
def test_a_wrong_reference(rest: str) -> None:
    with pytest.raises(SecretError, match="not complete") as caught:
        source(f"keyring:{rest}")
    assert caught.value.hint == "Write keyring:service/user."
