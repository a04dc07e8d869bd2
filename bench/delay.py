"""A TCP proxy that makes the way longer, as a provider in another country is: order and bandwidth stay.

    python bench/delay.py PORT [MILLISECONDS]

listens on loopback, prints its port, and passes everything on to PORT, each octet MILLISECONDS later
(25, which makes 50 of round trip). It ends with its input.
"""

from __future__ import annotations

import argparse
import queue
import socket
import sys
import threading
import time

READ = 1 << 16
Pipe = queue.SimpleQueue[tuple[float, bytes]]


def pass_on(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """One direction: this thread notes when each piece came, another lets it go when its time is up."""
    pipe: Pipe = queue.SimpleQueue()
    threading.Thread(target=let_go, args=(pipe, target), daemon=True).start()
    try:
        while data := source.recv(READ):
            pipe.put((time.monotonic() + seconds, data))
    except OSError:
        pass
    pipe.put((time.monotonic() + seconds, b""))


def let_go(pipe: Pipe, target: socket.socket) -> None:
    try:
        while True:
            due, data = pipe.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
    except OSError:
        pass


def accept(listener: socket.socket, port: int, seconds: float) -> None:
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for source, target in ((near, far), (far, near)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=pass_on, args=(source, target, seconds), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("port", type=int, help="where everything goes on")
    parser.add_argument("milliseconds", type=float, nargs="?", default=25.0, help="each way")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    accepting = (listener, options.port, options.milliseconds / 1000)
    threading.Thread(target=accept, args=accepting, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
