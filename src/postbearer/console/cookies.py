"""The cookie that a session is known by."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from postbearer.console.sessions import LONGEST


def cookie_name(request: Request) -> str:
    """Its name, by port: all ports of a host share their cookies, and several relays may run there."""
    try:
        port = request.url.port
    except ValueError:  # no browser asks for port 99999
        port = None
    return f"postbearer-{port or (443 if request.url.scheme == 'https' else 80)}"


def set_cookie(response: Response, request: Request, token: str, path: str) -> None:
    """Have the browser show `token` from now on, to nobody else and by no script."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=int(LONGEST),
        path=path,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def remove_cookie(response: Response, request: Request, path: str) -> None:
    """Have the browser forget it."""
    secure = request.url.scheme == "https"
    response.delete_cookie(cookie_name(request), path, secure=secure, httponly=True, samesite="strict")
