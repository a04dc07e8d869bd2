"""What grants take from the settings of an account, and from its provider where those are silent."""

from __future__ import annotations

from typing import Any

from postbearer.oauth.signing import ClientKey
from postbearer.providers import Preset
from postbearer.settings import AccountSettings, ClientAuthentication


def client(settings: AccountSettings, preset: Preset) -> dict[str, Any]:
    """The fields all grants of a registered client share."""
    key = client_key(settings, preset)
    return {
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "authentication": _authentication(settings, preset, key),
        "client_key": key,
        **wishes(settings),
    }


def client_key(settings: AccountSettings, preset: Preset) -> ClientKey | None:
    """What the client signs with, if it has something to sign with."""
    if not (settings.certificate or settings.private_key):
        return None
    usual = preset.endpoint(preset.assertion_audience, settings.tenant or "")
    return ClientKey(
        certificate=settings.certificate,
        private_key=settings.private_key,
        key_password=settings.key_password,
        key_id=settings.key_id or "",
        algorithm=settings.assertion_algorithm,
        audience=settings.assertion_audience or usual,
    )


def wishes(settings: AccountSettings) -> dict[str, Any]:
    """What is asked for, whoever asks."""
    extra = dict(settings.extra_token_parameters)
    if settings.audience:
        extra["audience"] = settings.audience
    return {"scopes": settings.scopes or (), "extra": extra}


def person(settings: AccountSettings, preset: Preset) -> dict[str, Any]:
    """The fields that all grants share for which a person signs in."""
    return {
        "user": user(settings),
        "device_url": settings.device_url or endpoint(settings, preset, preset.device_url),
        "revocation_url": settings.revocation_url or endpoint(settings, preset, preset.revocation_url),
        **client(settings, preset),
    }


def user(settings: AccountSettings) -> str:
    """Whom the token is for, as the provider calls them."""
    return settings.token_user or settings.address


def endpoint(settings: AccountSettings, preset: Preset, url: str) -> str:
    """The provider's endpoint, unless it is to be discovered at an issuer of the account's own."""
    return "" if settings.issuer else preset.endpoint(url, settings.tenant or "", settings.grant or "")


def _authentication(settings: AccountSettings, preset: Preset, key: ClientKey | None) -> ClientAuthentication:
    """How the client proves itself: as configured, else by what it has and as the provider likes it."""
    if settings.client_authentication:
        return settings.client_authentication
    if settings.client_secret:
        return "basic" if preset.client_authentication == "basic" else "post"
    return "private-key-jwt" if key else "none"
