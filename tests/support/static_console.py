"""The console as files, to be walked through without a relay: ``python -m support.static_console FOLDER``.

Pages are asked for as a browser asks, from the overview on by their links. Links lead to files; what a form
would do, a page says; scripts are left out, so that nothing can call anybody.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from html import unescape
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urljoin, urlsplit

import httpx2

from support.local import short_folder
from support.shown_relay import ShownRelay, fill

MOST = 80  # pages
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)
SAMPLE = "sample.html"  # where forms lead
NOTE = (
    '<p class="step">A walk through the console on sample data: nothing here is a relay, '
    "and no button does anything.</p>"
)
BUTTON = """<h1>This is a walk on sample data</h1>
<div class="card stack">
<p>In a console of your own, the button does what it says, and the next page tells what was done.</p>
<p>See one on your machine, with mail in it: <code>postbearer demo --keep</code></p>
<p><a href="index.html">Overview</a></p>
</div>
"""
_SCRIPT = re.compile(r"\s*<script\b[^>]*>.*?</script>", re.DOTALL)
_LINK = re.compile(r'\b(href|src)="([^"]*)"')
_FORM = re.compile(r"<form\b[^>]*>")
_ACTION = re.compile(r'\s(?:method|action|data-[\w-]+)="[^"]*"')
_HIDDEN = re.compile(r'<input type="hidden"[^>]*>')
_LIVE = re.compile(r'\s(?:hx-[\w-]+|data-open)="[^"]*"')
_MAIN = re.compile(r"(<main[^>]*>).*(</main>)", re.DOTALL)
_UPDATES = re.compile(
    r'<span class="js-only" id="updates".*?</span> <button.*?</span>|<dialog.*?</dialog>', re.DOTALL
)


class StaticConsole:
    """Pages of one relay that become files in `folder`."""

    def __init__(self, http: httpx2.AsyncClient, origin: str, folder: Path) -> None:
        self._http = http
        self._origin = origin
        self._folder = folder
        self._names: dict[str, str] = {"/console/": "index.html"}
        self._counts: dict[str, int] = {}
        self._waiting = deque(self._names)

    async def write(self) -> None:
        """All pages that links lead to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while self._waiting:
            path = self._waiting.popleft()
            answer = await self._http.get(f"{self._origin}{path}")
            name = self._names[path]
            if answer.headers["content-type"].startswith("text/html"):
                text = self._rewritten(path, answer.text)
                (self._folder / name).write_text(text)
                if path == "/console/":
                    sample = _MAIN.sub(lambda found: f"{found[1]}{BUTTON}{found[2]}", text)
                    (self._folder / SAMPLE).write_text(sample)
            else:
                (self._folder / name).write_bytes(answer.content)

    def _rewritten(self, path: str, page: str) -> str:
        """`page` with links to files, and without what asks a relay."""
        framed = path.endswith("/frame")
        page = _LIVE.sub("", _UPDATES.sub("", _SCRIPT.sub("", page)))
        page = _HIDDEN.sub("", page)
        page = _FORM.sub(lambda form: f'{_ACTION.sub("", form[0])[:-1]} action="{SAMPLE}">', page)
        page = _LINK.sub(lambda link: f'{link[1]}="{self._file(path, unescape(link[2]))}"', page)
        if not framed:
            meta = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            page = page.replace("<head>", f"<head>\n  {meta}", 1).replace(
                'tabindex="-1">', f'tabindex="-1">\n{NOTE}', 1
            )
        return page.replace(self._origin, "http://127.0.0.1:2580")

    def _file(self, path: str, link: str) -> str:
        """Where `link` of the page at `path` leads now."""
        if not link or link.startswith(("#", "data:")):
            return link or self._names[path]
        parts = urlsplit(urljoin(path, link))
        if parts.netloc or not parts.path.startswith("/console"):
            return SAMPLE
        place, hash_ = parts.path, f"#{parts.fragment}" if parts.fragment else ""
        if place not in self._names:
            if len(self._names) >= MOST:
                return SAMPLE
            self._names[place] = self._name(place)
            self._waiting.append(place)
        return self._names[place] + hash_

    def _name(self, place: str) -> str:
        """``messages-2-read.html``: ids are others at each run, and numbers are not."""
        words = place.removeprefix("/console/").split("/")
        if words[0] == "static":
            return words[1]
        if len(words) > 1 and words[0] in ("messages", "jobs"):
            known = f"{words[0]}/{words[1]}"
            if known not in self._counts:
                self._counts[known] = 1 + sum(each.startswith(words[0]) for each in self._counts)
            words[1] = str(self._counts[known])
        ending = "eml" if words[-1] == "download" else "html"
        return f"{'-'.join(words)}.{ending}"


async def write(folder: Path) -> None:
    """A relay with mail of every kind, as files in `folder`."""
    with short_folder() as home, patch("socket.gethostname", lambda: "relay.example.org"):
        shown = ShownRelay(home)
        await shown.start()
        try:
            await fill(shown)
            async with httpx2.AsyncClient(timeout=30) as http:
                code = shown.running.open_console().rpartition("code=")[2]
                await http.post(f"{shown.url}/login", data={"one_time_code": code})
                await StaticConsole(http, shown.running.addresses[-1], folder).write()
        finally:
            await shown.stop()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
