"""Servers that another program speaks to without TLS: here that is for this machine only."""

from __future__ import annotations

from postbearer.http import is_loopback
from postbearer.importing.draft import ImportedConfiguration


def tls_setting(draft: ImportedConfiguration, title: str, host: str, *, token: bool, line: int | None) -> str:
    """The key `tls` for a server of `title` without TLS, with a remark where that is not to be."""
    if is_loopback(host):
        return "none-loopback"
    if token:
        draft.leave(
            f"{title} has no TLS, and a token never leaves without: STARTTLS is demanded.",
            "Check that the server offers STARTTLS on this port.",
            line,
        )
    else:
        draft.leave(
            f"{title} has no TLS, which is for this machine only: STARTTLS is demanded.",
            "If the server has none, take the account away, or put a server with TLS in its place.",
            line,
        )
    return "starttls"
