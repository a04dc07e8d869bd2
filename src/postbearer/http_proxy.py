"""The proxy that the environment names for requests over HTTP."""

from __future__ import annotations

from urllib.parse import urlsplit

from postbearer.errors import UsageError

_PROXIES = ("http", "https")


def environments_proxy(url: str) -> str | None:
    """The proxy that the environment names for `url`; None for none.

    Raises `UsageError` for one that cannot be used; as it may hold a password, no part of it is shown.
    """
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    for name in (parts.scheme, "all"):
        if named := proxies.get(name):
            break
    else:
        return None
    if proxy_bypass(parts.netloc):
        return None
    variable = f"{name.upper()}_PROXY"
    named = named if "://" in named else f"http://{named}"
    try:
        proxy = urlsplit(named)
        whole = bool(proxy.hostname) and (proxy.port or True) and proxy.path in ("", "/")
    except ValueError:
        proxy, whole = urlsplit(""), False
    if not whole or proxy.query or proxy.fragment:
        raise UsageError(
            f"The proxy in {variable} cannot be read.",
            hint="Write http://user:password@host:port, in the password %23 for #, %3F for ?, %2F for /.",
        )
    if proxy.scheme not in _PROXIES:
        raise UsageError(
            f"The proxy in {variable} is of a kind that requests over HTTP cannot go through.",
            hint=f"Name one that begins with {' or '.join(f'{each}://' for each in _PROXIES)} by "
            f"{parts.scheme.upper()}_PROXY, or except {parts.hostname} by NO_PROXY.",
        )
    return named
