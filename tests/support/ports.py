"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import contextlib
import random
import socket

# Below what the kernel gives to outgoing connections: none takes a port between our choice and the bind.
PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on, all different."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            candidate = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind(("127.0.0.1", random.choice(PORTS)))
                ports.append(candidate.getsockname()[1])
        return ports
