"""Another application at the same addresses, below a path of its own."""

from __future__ import annotations

import re

from starlette.responses import RedirectResponse

from postbearer.http_guard import Application, Receive, Scope, Send

_COMES_BACK = re.compile(r"(?:^|&)state=")


class Beside:
    """`application`, and `other` for what lies below `prefix`; a browser at the top is sent there."""

    def __init__(
        self, application: Application, other: Application, prefix: str, base_path: str = ""
    ) -> None:
        self._application = application
        self._other = other
        self._prefix = prefix
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if self._base_path and f"{path}/".startswith(f"{self._base_path}/"):
            path = path.removeprefix(self._base_path)
        if f"{path}/".startswith(f"{self._prefix}/"):
            await self._other(scope, receive, send)
        elif path in ("", "/") and scope["method"] in ("GET", "HEAD") and _wants_a_page(scope):
            query = scope["query_string"].decode("latin-1")
            # Who signed in at a provider comes back to the top: no path may differ from what is registered.
            place = f"/sign-in?{query}" if _COMES_BACK.search(query) else "/"
            there = f"{self._base_path}{self._prefix}{place}"
            go = RedirectResponse(there, 303, {"cache-control": "no-store"})
            await go(scope, receive, send)
        else:
            await self._application(scope, receive, send)


def _wants_a_page(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
