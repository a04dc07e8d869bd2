"""The other end of ``control.sock``, for commands: blocking and small."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from msgspec import ValidationError, convert

from postbearer import errors
from postbearer.control.methods import EXPORT, IMPORT, METHODS
from postbearer.errors import ConfigError, ConfigErrors, NotPermitted, PostbearerError, StoreError
from postbearer.serving import machine_places, socket_places, user_name
from postbearer.state import StateFolder

NAME = "control.sock"
_PATIENCE = 300.0  # seconds for an answer
_NEED_MORE = (errors.ConfigErrors, errors.Rejected, errors.BudgetSpent, errors.AlreadyAccepted)  # than words
_KINDS = {
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PostbearerError) and kind not in _NEED_MORE
}


class ControlClient:
    """A connection to a running relay. Errors of the relay are raised here as what they were there."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    @classmethod
    def find(cls, state: StateFolder, environ: Mapping[str, str] | None = None) -> ControlClient | None:
        """A connection to the relay of this state folder; None when none runs.

        Raises `NotPermitted` when the relay is another user's.
        """
        return cls._first(socket_places(NAME, state, environ))

    @classmethod
    def of_machine(cls, environ: Mapping[str, str] | None = None) -> ControlClient | None:
        """A connection to the relay of this machine, where the environment names no other; None without one.

        Raises `NotPermitted` when it does not answer this user.
        """
        return cls._first(machine_places(NAME, environ))

    @classmethod
    def _first(cls, places: Iterable[Path]) -> ControlClient | None:
        for path in places:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_PATIENCE)
            try:
                connection.connect(str(path))
            except PermissionError:
                connection.close()
                raise NotPermitted(
                    f"The relay behind {path} answers its own user and root only.",
                    hint=f"Run this as root, by sudo for example{_owner(path)}. "
                    "To look, being in the group that relay.operators names is enough.",
                ) from None
            except OSError:
                connection.close()
            else:
                return cls(connection)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        self._connection.close()

    def call(self, act: str, /, **given: Any) -> Any:
        """Have the relay do one act, and return its answer, of the type that `METHODS` names."""
        self._send({"act": act, "with": given})
        said = self._answer()["ok"]
        try:
            return convert(said, METHODS[act].answers)
        except ValidationError as error:
            raise StoreError(
                f"What the relay answered to {act} is of another version of postbearer: {error}.",
                hint="Restart the relay, so that it is of the version that is installed.",
            ) from None

    def export(self) -> Iterator[dict[str, Any]]:
        """The records of `Transfer.export`, one by one."""
        self._send({"act": EXPORT})
        while "item" in (answer := self._answer()):
            yield answer["item"]

    def import_(self, records: Iterable[bytes]) -> int:
        """Give the relay the lines of an export; how many messages it took."""
        self._send({"act": IMPORT})
        with suppress(OSError):  # as in `_send`
            for record in filter(bytes.strip, records):  # the empty line ends it
                self._connection.sendall(record.rstrip(b"\r\n") + b"\n")
            self._connection.sendall(b"\n")
        return int(self._answer()["ok"])

    def _send(self, request: Mapping[str, Any]) -> None:
        with suppress(OSError):  # who hung up may have said why: `_answer` tells
            self._connection.sendall(json.dumps(request).encode() + b"\n")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._file.readline()
        except OSError as error:
            raise _gone() from error
        if not line.endswith(b"\n"):
            raise _gone()
        answer: dict[str, Any] = json.loads(line)
        if told := answer.get("error"):
            raise _raised(told)
        return answer


def _raised(told: Mapping[str, Any]) -> PostbearerError:
    """The relay's error as it was there, with what it knew beside its words."""
    if problems := told.get("problems"):
        return ConfigErrors([_problem(each) for each in problems])
    error = _kind(told["type"])(told["message"], hint=told["hint"])
    for name in vars(error).keys() & told.keys():
        setattr(error, name, told[name])
    return error


def _problem(told: Mapping[str, Any]) -> ConfigError:
    where = {name: told[name] for name in ("key", "file", "line") if name in told}
    return ConfigError(told["message"], hint=told["hint"], **where)


def _kind(name: str) -> type[PostbearerError]:
    """The error of that public name, or the nearest one above it that words alone can make."""
    known = getattr(errors, name, PostbearerError)
    return next(each for each in known.__mro__ if each in _KINDS)


def _owner(path: Path) -> str:
    """Who else may ask, as far as that can be seen from here."""
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return ""
    return f", or as {user_name(owner)}" if owner else ""


def _gone() -> StoreError:
    return StoreError("The relay went away before it answered.", hint="See its log, and ask again.")
