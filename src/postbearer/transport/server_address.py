"""Host and port of a server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from postbearer.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One mail server, as configured. This name is the one its certificate must hold."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ServerAddress:
        """Read ``host:port`` or ``[::1]:port``. Raises `ConfigError`."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        odd = not host.isprintable() or any(char.isspace() or char in "/@[]" for char in host)
        plain = not odd and (bracketed or ":" not in host)
        if (
            not colon
            or not host
            or not plain
            or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
        ):
            raise ConfigError(
                f"{text!r} is not a server.",
                key="servers",
                hint="Write host:port, such as mail.example.org:587.",
            )
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """True for ``localhost`` and for addresses that cannot leave this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower().rstrip(".") == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
