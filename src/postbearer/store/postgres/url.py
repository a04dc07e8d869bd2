"""Where a spool on PostgreSQL is: a URL as libpq takes it, without a password, and the schema."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from postbearer.errors import ConfigError

KEY, WAKE = "relay.spool", "relay.wake-url"
SCHEMES = ("postgresql", "postgres")
SCHEMA = "postbearer"  # unless another one is named
CACHE = "statement_cache_size"  # as the driver calls it; 0: nothing is prepared
_OURS = ("schema", CACHE)
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_KNOWN = {
    *("host", "port", "user", "dbname", "database", "passfile", "service", "servicefile"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs", "krbsrvname"),
}
_HINT = (
    "Keep it in a password file (passfile=/path, or ~/.pgpass), in a service file (service=name), or set "
    "PGPASSWORD; or let the server trust a certificate or the local user."
)


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """`dsn` is for the driver; `schema` is ours alone. `prepares`: statements, unless a pooler is seen.

    `wake`: the same server without the pooler that `dsn` goes through, where relays can be woken.
    """

    dsn: str
    schema: str
    prepares: bool = True
    wake: PostgresUrl | None = None

    @classmethod
    def parse(cls, url: str, *, key: str = KEY) -> PostgresUrl:
        """``postgresql://user@host/database?schema=name``, which stands at `key`.

        Raises `ConfigError`, which shows no secret.
        """
        try:
            parts = urlsplit(url)
            inline = parts.password is not None
            asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise ConfigError("is no URL of a database.", key=key, hint=_EXAMPLE) from None
        if inline or any(name == "password" for name, _ in asked):
            raise ConfigError("cannot hold a password.", key=key, hint=_HINT)
        schema = [value for name, value in asked if name == "schema"] or [SCHEMA]
        if not _NAME.fullmatch(schema[-1]):
            raise ConfigError(
                f"has {schema[-1]!r:.80} as schema.",
                key=key,
                hint="Use small letters, digits and underscore.",
            )
        cached = [value for name, value in asked if name == CACHE]
        if cached and cached[-1] != "0":
            raise ConfigError(
                f"has {CACHE}={cached[-1]:.20}.", key=key, hint="It can be 0, for a pooler, or be left out."
            )
        for name, _ in asked:
            if name not in _KNOWN and name not in _OURS:
                known = ", ".join(sorted({*_KNOWN, *_OURS}))
                raise ConfigError(
                    f"has the unknown parameter {name!r:.80}.", key=key, hint=f"Known: {known}."
                )
        rest = urlencode([(name, value) for name, value in asked if name not in _OURS])
        dsn = urlunsplit(("postgresql", parts.netloc, parts.path, rest, ""))
        return cls(dsn, schema[-1], prepares=not cached)

    def woken_by(self, url: str) -> PostgresUrl:
        """With the `url` that stands at ``relay.wake-url``. Raises `ConfigError`."""
        if urlsplit(url).scheme not in SCHEMES:
            raise ConfigError("is no URL of a database.", key=WAKE, hint=_WAKE)
        wake = PostgresUrl.parse(url, key=WAKE)
        if not wake.prepares:
            raise ConfigError("names a pooler, where nobody can be woken.", key=WAKE, hint=_WAKE)
        return replace(self, wake=wake)

    @property
    def folder(self) -> None:
        """It is no file of this machine."""

    def exists(self) -> bool:
        """Opening it tells."""
        return True

    def remove(self) -> None:
        """What is in a database stays there."""

    @property
    def place(self) -> str:
        """For people."""
        parts = urlsplit(self.dsn)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}, schema {self.schema}"


_WAKE = "Name the server that the pooler of relay.spool stands before, and the same database."
_EXAMPLE = 'Write spool = "postgresql://user@host/database".'
NO_KEY = ConfigError(
    "is needed with a spool on PostgreSQL: what nodes share is sealed under one key.",
    key="vault.key",
    hint='Make one by `openssl rand -base64 32`, and refer to it: key = "file:/etc/postbearer/key".',
)
