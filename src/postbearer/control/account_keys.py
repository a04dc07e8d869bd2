"""Which keys of an account may be given by whom, and secrets that become references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from postbearer.errors import ConfigError, ConfigErrors
from postbearer.secret import Secret
from postbearer.settings import AccountSettings
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from postbearer.providers import Preset
    from postbearer.state import StateFolder

KEYS: Final = frozenset(AccountSettings.__struct_encode_fields__)
# Where secrets and tokens go. Who may not name files gives these once, together with the secret itself.
WHERE: Final = frozenset(
    {
        *("provider", "cloud", "tenant", "servers", "tls", "audience"),
        *("issuer", "token-url", "authorize-url", "device-url", "revocation-url"),
    }
)
PROOF: Final = frozenset(  # what an app proves itself by: one of them, or two that belong together
    {"client-secret", "certificate", "private-key", "key-password", "assertion", "service-account"}
)
SECRETS: Final = PROOF | {"password", "refresh-token", "token"}
_READ_OR_RUN: Final = frozenset(  # they name files, programs and ways through the network
    {"command", "grant-settings", "ca-file", "tls-certificate", "proxy", "redirect-uri"}
)
FROM_ELSEWHERE: Final = KEYS - SECRETS - _READ_OR_RUN - {"extra-token-parameters"}
_SHARED: Final = (  # what two mailboxes at one place have in common
    WHERE | PROOF | {"ca-file", "tls-certificate", "proxy", "redirect-uri", "mechanism", "ehlo-name"}
) | {
    *("authentication", "client-id", "client-authentication", "key-id", "assertion-algorithm"),
    *("assertion-audience", "extra-token-parameters", "unused-extensions", "limits"),
}
_ONE_LINE = ("client-secret", "password", "refresh-token", "token", "key-password")
_LARGEST = 64 * 1024  # characters of a secret


def checked(name: str, keys: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Raise `ConfigError` for a name that no account can have, and for keys that cannot be given."""
    from postbearer.config import account_name

    wrong: list[ConfigError] = []
    if found := account_name(name):
        wrong.append(ConfigError(f"{found[0]}.", key="name", hint=found[1]))
    wrong += _refused(name, keys, allowed)
    if wrong:
        raise wrong[0] if len(wrong) == 1 else ConfigErrors(wrong)


def _refused(name: str, keys: Mapping[str, Any], allowed: frozenset[str]) -> Iterator[ConfigError]:
    for key, value in keys.items():
        place = f"accounts.{name}.{key:.80}"
        if key not in KEYS:
            yield ConfigError("is not a known key.", key=place, hint=did_you_mean(key, KEYS))
        elif key in allowed:
            if value is None:
                yield ConfigError("has no value.", key=place, hint="Leave it out.")
        elif key in SECRETS:
            yield ConfigError(
                "cannot be a reference from here.", key=place, hint="Give the secret itself: it is sealed."
            )
        elif key in WHERE:
            yield ConfigError(
                "says where secrets go, and stays as it is from here.",
                key=place,
                hint="Connect the mailbox anew, with its secret. Or, on the relay's machine: "
                f"postbearer config set {place} VALUE",
            )
        else:
            yield ConfigError(
                "cannot be set from here: it names what is read, run or gone through.",
                key=place,
                hint=f"On the relay's machine: postbearer config set {place} VALUE",
            )


def shared(table: Mapping[str, Any], given: frozenset[str], grant: object, preset: Preset) -> dict[str, Any]:
    """What a further mailbox takes over from the account `table`, unless it is `given`; it has `grant`.

    Scopes too, unless it is another grant and `preset` knows those of that one.
    """
    ours = _SHARED - (PROOF if given & PROOF else frozenset()) - given
    found = {key: value for key, value in table.items() if key in ours}
    same = grant in (None, table.get("grant"))
    more = {"grant": same, "scopes": same or not preset.scopes.get(str(grant))}
    return found | {key: table[key] for key, too in more.items() if too and key in table and key not in given}


def sealed(
    name: str, secrets: Mapping[str, str], state: StateFolder, provider: str, *, sure: bool
) -> dict[str, str]:
    """References to `secrets`, which only the key of `state` opens.

    Raises `ConfigError` for what is no secret, or odd unless somebody is `sure`, and `StoreError` where the
    key is lost.
    """
    from postbearer.secrets import seal_reference
    from postbearer.state import KeyFile

    given = {key: _trimmed(key, text) for key, text in secrets.items()}
    wrong = [
        ConfigError(why, key=f"accounts.{name}.{key:.80}", hint=hint)
        for key, secret in given.items()
        for why, hint in _wrong(key, secret, provider, sure=sure)
    ]
    wrong += [
        ConfigError(f"cannot be used: {why}.", key=f"accounts.{name}.{key}")
        for key, why in _unfit(given)
        if key in given and not wrong
    ]
    if wrong:
        raise wrong[0] if len(wrong) == 1 else ConfigErrors(wrong)
    if not given:
        return {}
    box = KeyFile(state).box()
    return {key: seal_reference(box, secret) for key, secret in given.items()}


def _trimmed(key: str, text: str) -> Secret:
    return Secret(text.strip() if key in _ONE_LINE else text)


def _wrong(key: str, secret: Secret, provider: str, *, sure: bool) -> Iterator[tuple[str, str]]:
    from postbearer.diagnosis import secret_doubts

    text = secret.reveal()
    if key not in SECRETS:
        yield "is no secret of an account.", did_you_mean(key, SECRETS)
    elif not text:
        yield "is empty.", "Paste it once more."
    elif len(text) > _LARGEST or "\0" in text:
        yield "is too long, or no text.", "Paste the secret alone."
    elif key in _ONE_LINE and "\n" in text:
        yield "has more than one line.", "Paste the secret alone."
    elif key in _ONE_LINE and not sure:
        for doubt in secret_doubts(key, secret, provider):
            yield doubt, "If it is right all the same, say that you are sure."


def _unfit(given: Mapping[str, Secret]) -> Iterator[tuple[str, str]]:
    """What a key or certificate cannot be used for, by the key of the account that it stands under."""
    from postbearer.oauth import key_trouble

    names = {key.replace("-", "_"): secret for key, secret in given.items()}
    if names.keys() & {"certificate", "private_key"} and (trouble := key_trouble(names)):
        yield "certificate" if "certificate" in names else "private-key", trouble
