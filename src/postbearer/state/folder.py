"""The state folder: where it is, and that it is ours alone."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from postbearer.errors import ConfigError, UsageError
from postbearer.state.files import trouble
from postbearer.state.permissions import open_to_others

if TYPE_CHECKING:
    from postbearer.clock import Clock
    from postbearer.oauth import GrantStore
    from postbearer.state.connection_share import ConnectionShare
    from postbearer.state.document import Document
    from postbearer.state.ledger import Ledger

SYSTEM_FOLDER = "/var/lib/postbearer"
_LONGEST = 200  # octets of a file's name, with room for what stands behind it
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")


def default_state_folder(environment: Mapping[str, str] | None = None) -> str:
    """The path of the state folder.

    ``POSTBEARER_STATE``; else ``STATE_DIRECTORY`` of systemd; else ``/var/lib/postbearer`` for root and
    for the user who owns it; else ``postbearer`` in ``XDG_STATE_HOME`` (``~/.local/state``).
    Raises `ConfigError` where there is no home folder, as for a user without an entry in the list of users.
    """
    environment = os.environ if environment is None else environment
    if given := environment.get("POSTBEARER_STATE"):
        return given
    if given := environment.get("STATE_DIRECTORY"):
        return given.split(":")[0]  # systemd lists several with colons (systemd.exec(5))
    user = _user()
    if user == 0 or (user is not None and _owner(SYSTEM_FOLDER) == user):
        return SYSTEM_FOLDER
    # The XDG specification has relative paths ignored.
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        # It stays as it is where nobody knows the home; an empty HOME would be taken for the root.
        state = os.path.expanduser("~/.local/state") if os.environ.get("HOME") != "" else ""
    if not os.path.isabs(state):
        raise ConfigError(
            "There is no home folder to keep tokens in: HOME is not set to one, and this user has none.",
            hint="Name a folder by the variable POSTBEARER_STATE.",
        )
    return os.path.join(state, "postbearer")


class StateFolder:
    """The folder that holds the key, tokens, locks and the spool of one user: a `Persistence` made of files.

    `ensure` makes it (mode 0700) or refuses one that belongs to, or may be written by, somebody else.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = os.path.abspath(os.fspath(path) if path is not None else default_state_folder())

    def __repr__(self) -> str:
        return f"StateFolder({self.path!r})"

    @property
    def key(self) -> str:
        """The path of the key file."""
        return os.path.join(self.path, "key")

    @property
    def tokens(self) -> str:
        """The path of the folder of token files."""
        return os.path.join(self.path, "tokens")

    def token(self, account: str) -> str:
        """The path of an account's token file. Raises `UsageError` for what is no account name."""
        return os.path.join(self.tokens, _account(account))

    def budget(self, mailbox: str) -> str:
        """The path of a mailbox's ledger, whatever signs its name holds."""
        from urllib.parse import quote  # with what it loads, it would be a tenth of `token`

        name = quote(mailbox, safe="@=+")
        if len(name) > _LONGEST:
            name = f"={hashlib.sha256(mailbox.encode()).hexdigest()}"
        return os.path.join(self.path, "budgets", name)

    def old_budget(self, account: str) -> str:
        """The path of a ledger as the first versions kept it, by account.

        Raises `UsageError` for what is no account name.
        """
        return os.path.join(self.path, "budgets", _account(account))

    def accounts(self) -> list[str]:
        """The accounts of which a token file is kept."""
        try:
            names = os.listdir(self.tokens)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise trouble(error, self.tokens, "read") from error
        return sorted(name for name in names if _ACCOUNT.match(name))

    def ensure(self) -> StateFolder:
        """Make the folder and its own if need be. Raises `ConfigError` or `StoreError`."""
        for path in (self.path, self.tokens):
            try:
                if not os.path.isdir(path):  # asked for each of thousands of accounts
                    os.makedirs(path, mode=0o700, exist_ok=True)
            except OSError as error:
                raise trouble(error, path, "made") from error
            self._check(path)
        return self

    def writable(self) -> StateFolder:
        """`ensure`, and that something can be kept there. Raises `ConfigError` or `StoreError`."""
        self.ensure()
        for path in (self.path, self.tokens):
            if not os.access(path, os.W_OK | os.X_OK):
                raise trouble(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path, "written")
        return self

    async def verify(self, *, mark: bool = False) -> None:
        """The key lies beside what is sealed under it."""

    def token_store(self, account: str, binding: str, *, clock: Clock, shortcut: str = "") -> GrantStore:
        """The sealed file of the account's tokens; made with the folder if it is not there."""
        from postbearer.state.key import KeyFile
        from postbearer.state.token_file import TokenFile

        self.ensure()
        box = KeyFile(self).box
        return TokenFile(self, account, binding=binding, box=box, shortcut=shortcut, clock=clock)

    def ledger(self, mailbox: str, account: str, *, clock: Clock) -> Ledger:
        """The file of a mailbox's charges; one by the name of the `account` is taken over."""
        from pathlib import Path

        from postbearer.state.ledger import FileLedger

        self.ensure()
        return FileLedger(Path(self.budget(mailbox)), clock, formerly=[Path(self.old_budget(account))])

    def connection_share(
        self, mailbox: str, most: int, *, clock: Clock, node: str = ""
    ) -> ConnectionShare | None:
        """Each process has as many connections as the mailbox may have."""
        return None

    def document(self, name: str) -> Document:
        """The file of a record."""
        from postbearer.state.document import FileDocument

        return FileDocument(os.path.join(self.path, f"{name}.json"))

    def _check(self, path: str) -> None:
        user = _user()
        if user is None:
            return  # no such owners and modes here
        found = os.stat(path)
        if found.st_uid != user:
            raise ConfigError(
                f"The state folder {path} belongs to another user (uid {found.st_uid}, we are {user}).",
                hint=f"Run as that user, give it to this one (chown -R {user} {path}), or name a folder of "
                "your own by POSTBEARER_STATE. "
                "The relay that keeps it takes mail by sendmail, and gives tokens by token --relay.",
            )
        if open_to_others(found):
            raise ConfigError(
                f"The state folder {path} may be written by others.", hint=f"Run: chmod go-w {path}"
            )


def _account(name: str) -> str:
    """`name`, which becomes part of a path and must not lead out of the folder."""
    if not _ACCOUNT.match(name):
        raise UsageError(
            f"{name!r} is no account name.", hint="Use small letters, digits, hyphen and underscore."
        )
    return name


def _user() -> int | None:
    geteuid = getattr(os, "geteuid", None)
    return None if geteuid is None else int(geteuid())


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
