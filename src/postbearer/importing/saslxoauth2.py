"""sasl-xoauth2, Postfix's plug-in: one JSON file, Postfix's password map, and a token file a mailbox."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from postbearer.errors import ConfigError
from postbearer.importing.draft import LARGEST, ImportedConfiguration, bounded, decoded
from postbearer.importing.postfix import postfix_server
from postbearer.importing.provider_lookup import by_server, by_token_url, use_preset

_GOOGLE = "https://accounts.google.com/o/oauth2/token"  # where it asks unless told
_CARRIED = {"client_id", "client_secret", "token_endpoint", "refresh_window", "refresh_token", "user"}
_NOTHING_TO_SAY = {  # its log, and what a token file holds beside the refresh token
    *("always_log_to_syslog", "log_to_syslog_on_failure", "log_full_trace_on_failure"),
    *("access_token", "expiry"),
}
_HINTS = {
    "proxy": "Set HTTPS_PROXY for token requests.",
    "ca_bundle_file": "Set SSL_CERT_FILE for token requests.",
    "ca_certs_dir": "Set SSL_CERT_DIR for token requests.",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of Postfix's password map."""

    place: str
    user: str
    path: str
    line: int


def read_saslxoauth2(
    content: bytes, draft: ImportedConfiguration, *, passwords: bytes = b"", root: str = "", address: str = ""
) -> None:
    """Add to `draft` the mailboxes of sasl-xoauth2.

    `passwords` is the text of Postfix's ``smtp_sasl_password_maps``, which names mailboxes and token files;
    these are read, in `root` if Postfix's client runs there. Without it there is one mailbox, `address`.
    Raises `ConfigError` for what is no such file.
    """
    common = _object(decoded(content, draft.file), draft.file)
    _report_rest(common, draft, draft.file)
    entries = list(_entries(passwords.decode("utf-8", "replace")))
    if not entries and address:
        entries = [_Entry("", address, "", 0)]
    elif not entries:
        raise draft.error(
            "The mailboxes stand elsewhere: in Postfix's password map.",
            "Name it: --passwords /etc/postfix/sasl_passwd; or one mailbox: --address ADDRESS",
        )
    for entry in entries:
        if entry.path and not os.path.isabs(entry.path):
            draft.leave(
                f"{entry.user} (line {entry.line} of the password map) has a password, and no token file.",
                'Write its account by hand: authentication = "password".',
            )
            continue
        _account(entry, common, draft, root)


def _entries(text: str) -> Iterator[_Entry]:
    """``[host]:port user:/path/of/token``; indented lines go on (postconf(5))."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and lines:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {line.strip()}")
        else:
            lines.append((number, line.strip()))
    for number, line in lines:
        place, *login = line.split(maxsplit=1)
        user, _, path = "".join(login).partition(":")
        yield _Entry(place, user.strip(), path.strip(), number)


def _account(entry: _Entry, common: Mapping[str, Any], draft: ImportedConfiguration, root: str) -> None:
    title = f"{entry.user}, line {entry.line} of the password map" if entry.line else entry.user
    account = draft.account(entry.user, 0)
    account.title = title
    keys = {**common, **_token_file(entry, draft, root)}
    token_url = str(keys.get("token_endpoint") or _GOOGLE)
    known = by_token_url(token_url.replace(_GOOGLE, "https://oauth2.googleapis.com/token"))
    account.put("provider", known.preset if known else "smtp")
    account.put("address", entry.user if "@" in entry.user else None)
    if (user := keys.get("user")) and user != entry.user:
        account.put("username", user)
    if "@" not in entry.place and (place := postfix_server(entry.place)):
        host, port = place
        account.put("servers", [f"{host}:{port}"])
        account.put("tls", "implicit" if port == "465" else "starttls")
        known = by_server(host) or known
    account.put("mechanism", "xoauth2")
    account.put("grant", "refresh-token")
    account.put("client-id", keys.get("client_id"))
    draft.secret(account, "client-secret", str(keys.get("client_secret") or ""))
    if token := str(keys.get("refresh_token") or ""):
        draft.secret(account, "refresh-token", token)
    else:
        variable = draft.environment(f"{account.name}_refresh_token", f"the refresh-token of {title}")
        account.put("refresh-token", variable)
    account.put("token-url", token_url if token_url != _GOOGLE else None)
    if isinstance(window := keys.get("refresh_window"), int):
        account.put("refresh-margin", f"{window} s")
    if known:
        use_preset(account, known)
    draft.note(
        "A provider may give out a new refresh token at each use and end the old one: two programs that have "
        "the same one then end each other's sign-in.",
        "Let Postfix hand over to the relay, and stop it using the token files.",
    )


def _token_file(entry: _Entry, draft: ImportedConfiguration, root: str) -> Mapping[str, Any]:
    """What a mailbox has of its own: its refresh token, and keys that go before the common ones."""
    if not entry.path:
        return {}
    path = os.path.join(root, entry.path.lstrip("/")) if root else entry.path
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        draft.leave(
            f"The token file {path} cannot be read: {error.strerror}.",
            "Import as a user who may read it; if Postfix runs in a folder of its own, add --root FOLDER.",
        )
        return {}
    try:
        found = _object(decoded(bounded(content, path), path), path)
    except ConfigError as error:
        line = f"line {error.line}: " if error.line else ""
        draft.leave(f"The token file {path} cannot be used: {line}{error.message}", error.hint)
        return {}
    _report_rest(found, draft, path)
    return found


def _object(text: str, file: str) -> dict[str, Any]:
    """A JSON object. What is wrong with it is told without its text, which holds secrets."""
    try:
        found = json.loads(_strict(text))
    except json.JSONDecodeError as error:
        raise _wrong(file, f"This is not JSON: {error.msg}.", error.lineno) from None
    if not isinstance(found, dict):
        raise _wrong(file, "This is not a JSON object.", 1)
    return found


_LENIENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)


def _strict(text: str) -> str:
    """JSON of what JsonCpp reads as well: without comments and last commas, on the same lines."""

    def kept(found: re.Match[str]) -> str:
        return found[0] if found[0][0] == '"' else "\n" * found[0].count("\n")

    return _LENIENT.sub(kept, text)


def _wrong(file: str, message: str, line: int) -> ConfigError:
    return ConfigError(message, file=file, line=line, hint="Correct it, and import again.")


def _report_rest(keys: Mapping[str, Any], draft: ImportedConfiguration, file: str) -> None:
    for key in keys:
        if key not in _CARRIED | _NOTHING_TO_SAY:
            draft.leave(
                f"{key} in {file} was not used.",
                _HINTS.get(key, "Nothing to do, unless sending depends on it."),
            )
