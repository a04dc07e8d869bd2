"""Where a list goes on: opaque to clients, and signed, so that only what this list gave out is taken."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from msgspec import Struct
from msgspec.json import encode

from postbearer.api.problems import at

_SIGNATURE = 16  # octets
LONGEST = 200


class Cursors:
    """Signs and reads cursors. They are good until the relay ends."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def write(self, asked: Struct, place: str) -> str:
        """The cursor behind `place` in the list that was `asked` for."""
        return urlsafe_b64encode(self._sign(asked, place) + place.encode()).decode().rstrip("=")

    def read(self, asked: Struct, cursor: str) -> str:
        """The place that `cursor` tells; raises `HttpProblem` for what this list did not give out."""
        try:
            octets = urlsafe_b64decode(cursor[:LONGEST] + "=" * (-len(cursor[:LONGEST]) % 4))
            place = octets[_SIGNATURE:].decode()
        except ValueError:
            place = ""
        if not hmac.compare_digest(cursor.encode(), self.write(asked, place).encode()):
            raise at(
                "This is no cursor of this list.",
                parameter="cursor",
                kind="malformed",
                hint="Ask with the same parameters as before; or begin anew, without it.",
            )
        return place

    def _sign(self, asked: Struct, place: str) -> bytes:
        signed = encode([type(asked).__name__, asked, place], order="sorted")
        return hmac.new(self._key, signed, hashlib.sha256).digest()[:_SIGNATURE]
