"""Where the log goes beside standard error: a file that is rotated, or syslog."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from dataclasses import dataclass
from io import TextIOWrapper
from logging.handlers import SYSLOG_UDP_PORT, RotatingFileHandler, SysLogHandler
from pathlib import Path
from typing import Any

from postbearer.errors import ConfigError
from postbearer.log.handlers import LOGGER, JsonFormatter, SyslogFormatter, TextFormatter

SYSLOG = "/var/run/syslog" if sys.platform == "darwin" else "/dev/log"
LARGEST = 10 * 1024 * 1024  # octets of a file, unless it is said
KEPT = 5  # older files, unless it is said

_SYSLOG_HOST = re.compile(r"syslog://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDestination:
    """A file with its `path`; else syslog, of this machine or at `host`."""

    path: Path | None = None
    host: tuple[str, int] | None = None
    as_json: bool = False
    size: int = LARGEST  # octets, from which a file is put aside
    keep: int = KEPT  # files that were

    @classmethod
    def of(cls, text: str, folder: Path, **known: Any) -> LogDestination:
        """``file:/path``, ``syslog:`` or ``syslog://host:port``; relative paths are in `folder`.

        Raises `ConfigError`.
        """
        if text.startswith("file:") and text != "file:":
            return cls(path=folder / text.removeprefix("file:"), **known)
        if text == "syslog:":
            return cls(**known)
        if match := _SYSLOG_HOST.fullmatch(text):
            return cls(host=(match[1].strip("[]"), int(match[2] or SYSLOG_UDP_PORT)), **known)
        raise ConfigError(
            f"{text!r} is no place for a log.",
            key="relay.log",
            hint="Write file:/var/log/postbearer/relay.log, syslog: or syslog://192.0.2.1:514.",
        )

    def __str__(self) -> str:
        if self.path is not None:
            return str(self.path)
        return f"syslog at {self.host[0]}" if self.host else "syslog"

    def open(self) -> logging.Handler:
        """What writes there. Raises `ConfigError`."""
        try:
            handler = self._handler()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ConfigError(
                f"The log cannot be written to {self}: {why}.",
                key="relay.log",
                hint="The relay's user must be able to write there."
                if self.path
                else "Is there a syslog daemon? Under systemd, standard error is in the journal anyway.",
            ) from None
        text: logging.Formatter = TextFormatter() if self.path is not None else SyslogFormatter()
        handler.setFormatter(JsonFormatter() if self.as_json else text)
        return handler

    def _handler(self) -> logging.Handler:
        if self.path is not None:
            return _LogFile(self.path, maxBytes=self.size, backupCount=self.keep, encoding="utf-8")
        if self.host is None:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
                there.connect(SYSLOG)  # the handler would not say that nobody is
        handler = SysLogHandler(self.host or SYSLOG, SysLogHandler.LOG_MAIL)
        handler.ident = f"{LOGGER}[{os.getpid()}]: "
        return handler


class _LogFile(RotatingFileHandler):
    """A file that its group may read, and that is no link to another."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.baseFilename, flags, 0o640)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding=self.encoding, errors=self.errors)
