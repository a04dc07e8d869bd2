"""A mail server that keeps nothing: what the benchmarks send to. It shares no code with the package.

    python bench/sink.py --certificate server.pem [--plain | --starttls] [--open] [--tally FILE]

prints the port it listens on (loopback, TLS from the first octet), and then one JSON line for each
connection that ended: its messages, their octets, and its flights: how many times the client had to
wait for an answer behind its login, which is the number of round trips. It ends with its input.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import socket
import ssl
import sys
import threading

READ = 1 << 18
OFFER = (
    b"sink.example.org",
    b"PIPELINING",
    b"SIZE 209715200",
    b"8BITMIME",
    b"CHUNKING",
    b"AUTH XOAUTH2 OAUTHBEARER",
)
EHLO = b"".join(b"250-%s\r\n" % line for line in OFFER[:-1]) + b"250 %s\r\n" % OFFER[-1]
BEARER = re.compile(
    rb"(?:user=[^\x01]+|n,a=[^\x01]+,(?:\x01host=[^\x01]+)?(?:\x01port=\d+)?)\x01auth=Bearer [^\x01]+\x01\x01"
)


class Ended(Exception):
    """The client is gone."""


class Tally:
    """How many messages came over all connections, as a number in a file."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._count = 0

    def one_more(self) -> None:
        with self._lock:
            self._count += 1
            os.pwrite(self._file, b"%d" % self._count, 0)


class Connection:
    """One client, served by a thread of its own with blocking reads: nothing is faster for one."""

    needs_login = True
    tally: Tally | None = None
    context: ssl.SSLContext | None = None  # for STARTTLS

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()
        self.replies: list[bytes] = [b"220 sink.example.org ESMTP\r\n"]
        self.counts = {"messages": 0, "octets": 0, "flights": 0}
        self.authenticated = not self.needs_login

    def serve(self) -> None:
        try:
            while self.obey(self.line()):
                pass
            self.answer()
        except (Ended, OSError):
            pass
        print(json.dumps(self.counts), flush=True)
        self.sock.close()

    def obey(self, line: bytes) -> bool:
        verb = line.split(b" ", 1)[0].upper()
        if verb == b"EHLO":
            self.replies.append(
                EHLO.replace(b"250-SIZE", b"250-STARTTLS\r\n250-SIZE") if self.context else EHLO
            )
        elif verb == b"STARTTLS" and self.context:
            self.replies.append(b"220 2.0.0 Go on\r\n")
            self.answer()
            self.sock, self.context = self.context.wrap_socket(self.sock, server_side=True), None
        elif verb == b"AUTH":
            self.log_in(line)
        elif verb in (b"MAIL", b"RCPT") and not self.authenticated:
            self.replies.append(b"530 5.7.0 Log in first\r\n")
        elif verb in (b"MAIL", b"RCPT", b"RSET", b"NOOP"):
            self.replies.append(b"250 2.0.0 OK\r\n")
        elif verb == b"BDAT":
            words = line.split()
            self.take(int(words[1]))
            self.filed() if len(words) > 2 else self.replies.append(b"250 2.0.0 OK\r\n")
        elif verb == b"DATA":
            self.replies.append(b"354 Go on\r\n")
            self.take_dotted()
            self.filed()
        elif verb == b"QUIT":
            self.replies.append(b"221 2.0.0 Bye\r\n")
        else:
            self.replies.append(b"502 5.5.1 What?\r\n")
        return verb != b"QUIT"

    def log_in(self, line: bytes) -> None:
        words = line.split()
        if len(words) == 2:
            self.replies.append(b"334 \r\n")
            words.append(self.line())
        self.authenticated = bool(BEARER.fullmatch(base64.b64decode(words[2])))
        self.replies.append(b"235 2.7.0 OK\r\n" if self.authenticated else b"535 5.7.8 No\r\n")
        self.answer()
        self.counts["flights"] = 0

    def filed(self) -> None:
        self.counts["messages"] += 1
        if self.tally:
            self.tally.one_more()
        self.replies.append(b"250 2.0.0 OK queued as %08X\r\n" % self.counts["messages"])

    def line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            self.receive()
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    def take(self, size: int) -> None:
        """The octets of a chunk."""
        self.counts["octets"] += size
        while size:
            if not self.buffer:
                self.receive()
            taken = min(size, len(self.buffer))
            del self.buffer[:taken]
            size -= taken

    def take_dotted(self) -> None:
        """Content up to its dot, let go of as it comes."""
        self.answer()
        while (end := self.buffer.find(b"\r\n.\r\n")) < 0:
            passed = max(0, len(self.buffer) - 4)
            self.counts["octets"] += passed
            del self.buffer[:passed]
            self.receive()
        self.counts["octets"] += end + 2
        del self.buffer[: end + 5]

    def receive(self) -> None:
        """Read more; first answer whatever the client may be waiting for, all in one write."""
        self.answer()
        if hasattr(socket, "TCP_QUICKACK"):  # else whoever writes in small pieces waits 40 ms for each ACK
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data = self.sock.recv(READ)
        if not data:
            raise Ended
        self.buffer += data

    def answer(self) -> None:
        if self.replies:
            self.sock.sendall(b"".join(self.replies))
            self.replies.clear()
            self.counts["flights"] += 1


def accept(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock, context), daemon=True).start()


def serve(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    try:
        Connection(context.wrap_socket(sock, server_side=True) if context else sock).serve()
    except OSError as error:  # a handshake that failed
        print(f"sink: {error}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--certificate", help="key and certificate chain (PEM)")
    parser.add_argument("--plain", action="store_true", help="no TLS")
    parser.add_argument("--starttls", action="store_true", help="TLS when the client asks for it")
    parser.add_argument("--open", action="store_true", help="take mail without a login too")
    parser.add_argument("--tally", metavar="FILE", help="keep the number of all messages there")
    options = parser.parse_args()
    Connection.needs_login = not options.open
    Connection.tally = Tally(options.tally) if options.tally else None
    context = None
    if not options.plain:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
    if options.starttls:
        Connection.context, context = context, None
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
