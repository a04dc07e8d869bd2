"""Load that remembers what it was promised: threads with smtplib, and Debian's smtp-source."""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import smtplib
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

from relay.checker import Arrived, Batch, Submitted
from relay.running import SENDER
from servers.processes import program
from servers.sink import Received

REFUSED = "refused@example.net"  # the sink knows no such user
PEOPLE = ("anna@example.net", "bob@example.net", "carol@example.net")
SESSIONS = 5  # of smtp-source
RESULTS = Path(__file__).with_name("results.jsonl")
_NAME = re.compile(rb"^X-Load: (\S+)\r$", re.MULTILINE)


class Load:
    """Sends until it is told to stop; a connection that breaks ends one sender, and not the load.

    The same `seed` makes the same messages. `refused`: the share of messages for somebody unknown.
    """

    def __init__(self, seed: int, *, refused: float = 0.0, large: float = 0.03) -> None:
        self.submitted: list[Submitted] = []
        self.batches: list[Batch] = []
        self._random = random.Random(seed)
        self._seed = seed
        self._refused = refused
        self._large = large
        self._lock = threading.Lock()
        self._count = 0
        self._threads: list[threading.Thread] = []
        self._source: tuple[subprocess.Popen[bytes], list[str]] | None = None
        self._stop = threading.Event()

    def message(self) -> tuple[str, tuple[str, ...], bytes]:
        """A new one: its name, its recipients, its octets."""
        with self._lock:
            self._count += 1
            dice = self._random
            name = f"{self._seed}-{self._count}"
            to = tuple(dice.sample(PEOPLE, dice.choice((1, 1, 1, 2, 3))))
            if dice.random() < self._refused:
                to = (REFUSED, *to[1:])
            size = 600_000 if dice.random() < self._large else dice.randrange(100, 8000)
            filler = dice.randbytes(size // 2).hex()
        lines = "\r\n".join(filler[at : at + 76] for at in range(0, len(filler), 76))
        text = (
            f"X-Load: {name}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{name}@load.example.org>\r\n"
            f"From: {SENDER}\r\nTo: {', '.join(to)}\r\nSubject: load\r\n\r\n.{name}\r\n..\r\n{lines}\r\n"
        )
        return name, to, text.encode()

    def start(self, port: int, senders: int = 4) -> None:
        """Begin to send to `port`."""
        self._begin(self._send_on, senders, port)

    def start_http(self, port: int, token: str, senders: int = 1) -> None:
        """The same over HTTP."""
        self._begin(self._post_on, senders, port, token)

    def _begin(self, work: Callable[..., None], senders: int, *arguments: object) -> None:
        self._stop.clear()
        threads = [threading.Thread(target=work, args=arguments, daemon=True) for _ in range(senders)]
        self._threads += threads
        for thread in threads:
            thread.start()

    def start_source(self, port: int, messages: int = 2000) -> None:
        """The same by smtp-source: it tells how many it has sent, and stops at the first trouble."""
        with self._lock:
            self._count += 1
            to = f"source{self._seed}.{self._count}@example.net"
        argv = [program("smtp-source", "postfix"), "-c", "-N", "-d", "-s", str(SESSIONS), "-m", str(messages)]
        argv += ["-l", "2000", "-f", SENDER, "-t", to, f"127.0.0.1:{port}"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._source = process, [f"{number}{to}" for number in range(messages)]

    def finish(self) -> None:
        """Wait until every sender has stopped."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self._threads = []
        if self._source is None:
            return
        process, addresses = self._source
        self._source = None
        process.terminate()
        output, _ = process.communicate(timeout=30)
        dots = int((output.split() or [b"0"])[-1])  # it counts before it reads the reply
        acknowledged = dots if process.returncode == 0 else max(0, dots - SESSIONS)
        self.submitted += [Submitted(each, (each,)) for each in addresses]
        self.batches.append(Batch(frozenset(addresses), acknowledged))

    def _send_on(self, port: int) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", port, "load.example.org", timeout=20) as client:
                client.ehlo()
                while not self._stop.is_set():
                    self.send_one(client)
        except (OSError, smtplib.SMTPException):
            pass  # what it was not told, it does not count

    def _post_on(self, port: int, token: str) -> None:
        with suppress(OSError, http.client.HTTPException):
            while not self._stop.is_set():
                self._post_one(port, token)

    def _post_one(self, port: int, token: str) -> None:
        """Post one message as it is; 202 promises what 250 does."""
        name, to, content = self.message()
        relay, code = http.client.HTTPConnection("127.0.0.1", port, timeout=20), 0
        fields = {"authorization": f"Bearer {token}", "content-type": "message/rfc822"}
        try:
            query = urlencode([("from", SENDER), *(("to", each) for each in to)])
            relay.request("POST", f"/v1/messages?{query}", content, fields)
            code = 250 if relay.getresponse().status == 202 else 451
        finally:
            relay.close()
            self.submitted.append(Submitted(name, to, hashlib.sha256(content).hexdigest(), code))

    def send_one(self, client: smtplib.SMTP) -> int:
        """Send one message; its final reply."""
        name, to, content = self.message()
        code = 0
        try:
            code = transaction(client, to, content)
        finally:
            self.submitted.append(Submitted(name, to, hashlib.sha256(content).hexdigest(), code))
        return code


_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.IGNORECASE | re.MULTILINE)


def transaction(client: smtplib.SMTP, to: Iterable[str], content: bytes, *, sender: str = SENDER) -> int:
    """One message over a connection; the reply that decides. Unlike smtplib's, it adds no parameters."""
    code = client.docmd("MAIL", f"FROM:<{sender}>")[0]
    if code != 250:
        return code
    for each in to:
        code = client.docmd("RCPT", f"TO:<{each}>")[0]
        if code != 250:
            client.docmd("RSET")
            return code
    try:
        return client.data(content)[0]
    except smtplib.SMTPDataError as refused:  # DATA itself was
        client.docmd("RSET")
        return refused.smtp_code


def arrivals(messages: Sequence[Received], reports: Mapping[str, str] | None = None) -> list[Arrived]:
    """What the sink has, as the checker wants it.

    `reports`: what each is about, by its Message-ID, for those that bring nothing back of the message, as
    its content could not be read when they were made.
    """
    found = []
    for each in messages:
        named = _NAME.search(each.content)
        report = b"multipart/report" in each.content
        if report and named is None:
            about = _MESSAGE_ID.search(each.content)
            known = (reports or {}).get(about[1].decode(), "") if about else ""
            if known and "@" not in known:
                found.append(Arrived(known, each.addresses[0], report=True))
            continue  # else it is about a message of smtp-source
        for to in each.addresses:
            if named is None:
                found.append(Arrived(to, to))
            else:
                name = named[1].decode()
                octets = each.content[each.content.index(b"X-Load:") :]
                digest = "" if report else hashlib.sha256(octets).hexdigest()
                found.append(Arrived(name, to, digest, report))
    return found
