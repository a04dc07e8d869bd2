"""The local key: made once, at first use, and never made anew while anything is sealed under it.

The file lists keys, one a line. The first seals; all open. Rotation puts a new one on top, seals the
token files again, and keeps the old ones, because sealed references in a configuration need them.
"""

from __future__ import annotations

import os

from postbearer.errors import StoreError
from postbearer.state.files import read_private, sync_folder, trouble, write_private, write_synced
from postbearer.state.folder import StateFolder
from postbearer.state.lock import FileLock
from postbearer.state.sealing import Key, SealedBox, parse_keys

_HEADER = (
    "# Keys of postbearer. Whoever has this file can read the tokens beside it; without it they are lost.\n"
)


class KeyFile:
    """The key file of a state folder. It is read at each use, so that a rotation is seen at once."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def keys(self) -> list[Key]:
        """The keys, the sealing one first. Raises `StoreError` if there are none."""
        try:
            text = read_private(self._folder.key)
        except StoreError as error:
            if not isinstance(error.__cause__, PermissionError | IsADirectoryError):
                raise
            raise StoreError(f"The key file {error.message}", hint=error.hint, configuration=True) from error
        if text is None:
            raise self._lost("missing")
        try:
            return parse_keys(text.decode("ascii", "replace"))
        except StoreError:
            raise self._lost("damaged") from None

    def existing(self) -> SealedBox:
        """A box for opening what was sealed before; never makes a key. Raises `StoreError`."""
        return SealedBox(self.keys())

    def box(self) -> SealedBox:
        """A box to seal and open with. The first key is made here, unless something is sealed already."""
        self._folder.ensure()
        if not os.path.exists(self._folder.key):
            if self._folder.accounts():
                raise self._lost("missing")
            self._make()
        return self.existing()

    def _make(self) -> None:
        # Written aside and linked: the name appears with all of its content or not at all, and of two
        # processes that get here together one makes the key and both use it.
        path, aside = self._folder.key, f"{self._folder.key}.{os.urandom(4).hex()}.tmp"
        text = (_HEADER + Key.generate().line()).encode()
        try:
            write_synced(aside, text, os.O_EXCL)
            try:
                os.link(aside, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                write_synced(path, text, os.O_EXCL)
            finally:
                os.unlink(aside)
            sync_folder(self._folder.path)
        except OSError as error:
            raise trouble(error, path, "made") from error

    def add(self) -> None:
        """Put a new key on top; what was sealed under the old ones stays readable."""
        with FileLock(f"{self._folder.key}.lock"):
            lines = "".join(key.line() for key in [Key.generate(), *self.keys()])
            write_private(self._folder.key, (_HEADER + lines).encode())

    def _lost(self, how: str) -> StoreError:
        return StoreError(
            f"The key file {self._folder.key} is {how}.",
            hint=f"Restore it from a backup. {self._consequence()}",
            configuration=True,
        )

    def _consequence(self) -> str:
        accounts = self._folder.accounts()
        if not accounts:
            return "Without it, seal the secrets of the configuration again: postbearer secret seal"
        signed_in = [name for name in accounts if self._holds_a_sign_in(name)]
        if not signed_in:
            return f"Without it, remove {self._folder.tokens}: what is kept there is got anew by itself."
        return f"Without it, remove {self._folder.tokens} and sign in again: {', '.join(signed_in)}."

    def _holds_a_sign_in(self, account: str) -> bool:
        """Whether a refresh token is kept: that one is sealed is plain to see, also in a damaged file."""
        return b'"refresh"' in (read_private(self._folder.token(account)) or b"")


def rotate_key(folder: StateFolder) -> list[str]:
    """Seal everything in `folder` under a new key; returns the accounts that were sealed again.

    It may be interrupted anywhere: until a file is sealed again the old key opens it, and old keys
    stay. Run it again to finish. Raises `StoreError`.
    """
    from postbearer.state.token_file import TokenFile

    key = KeyFile(folder)
    key.box()
    key.add()
    accounts = folder.accounts()
    for account in accounts:
        TokenFile(folder, account, binding="", box=key.existing).reseal()
    return accounts
