"""A browser without windows: follows redirects, keeps cookies, fills in the forms of sign-in pages."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode, urljoin


class _Form(HTMLParser):
    """The first form of a page: where it goes, and what it sends."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action = given.get("action", "")
        if tag == "input" and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, and knows where it was sent, also when nobody answers there."""

    address = ""

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        self.address = args[-1]
        return super().redirect_request(*args)


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows."""

    url: str
    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


class Browser:
    """One window."""

    def __init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._redirects = _Redirects()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies, self._redirects)
        self.page = Page("", 0, "")

    @property
    def address(self) -> str:
        """Where the last redirect led: what stands in the address bar if nothing answers there."""
        return self._redirects.address

    def open(self, url: str, form: dict[str, str] | None = None) -> Page:
        """Go to `url`, by POST if there is a form."""
        data = urlencode(form).encode() if form is not None else None
        try:
            response = self._opener.open(urllib.request.Request(url, data), timeout=30)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read().decode()
            self.page = Page(response.url, response.status, text, dict(response.headers))
        return self.page

    def submit(self, **values: str) -> Page:
        """Send the page's form with these values in it."""
        form = _Form()
        form.feed(self.page.text)
        assert form.action is not None, f"{self.page.url} has no form: {self.page.text}"
        return self.open(urljoin(self.page.url, form.action), form.fields | values)
