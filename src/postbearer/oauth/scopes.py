"""Which of the scopes asked for were granted (RFC 6749 3.3): a person may leave some of them out."""

from __future__ import annotations

from collections.abc import Iterable

# They ask for another kind of answer, and no access token shows them.
_ABOUT_THE_ANSWER = ("offline_access", "openid", "profile", "email")


def missing_scopes(asked: Iterable[str], given: Iterable[str]) -> list[str]:
    """What of `asked` is not in `given`; nothing if the server named no scopes (RFC 6749 5.1).

    A ``/.default`` of Microsoft stands for all that was consented to beforehand, and never comes back.
    """
    had = {_short(scope) for scope in given}
    if not had:
        return []
    wanted = [scope for scope in asked if scope not in _ABOUT_THE_ANSWER and not scope.endswith("/.default")]
    return [scope for scope in wanted if _short(scope) not in had]


def _short(scope: str) -> str:
    """Microsoft asks for ``https://…/SMTP.Send`` and gives ``SMTP.Send``."""
    return scope.rstrip("/").rpartition("/")[2].lower()
