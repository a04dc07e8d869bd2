"""Redirects: where the browser comes back to, and what it brings (RFC 6749 4.1.2, RFC 8252 7.3).

What comes back is foreign: anything that runs in the person's browser can open the address.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from postbearer.errors import ConfigError, CredentialError, GrantRefused
from postbearer.http import is_loopback
from postbearer.oauth.endpoint import AGREE, SIGN_IN_AGAIN, read_refusal
from postbearer.redaction import scrub
from postbearer.secret import Secret

WRONG_STATE = "wrong_state"  # code of the error for a redirect that belongs to another sign-in

_FIELDS = 50  # in one redirect; five would do
_CODE = re.compile(r"[\x20-\x7e]{1,8192}\Z")  # RFC 6749 A.11
_ONCE = ("code", "state", "error", "iss")  # RFC 6749 3.1
_BRINGS = re.compile(r"(?:^|&)(?:code|error)=")  # else it is perhaps the address at which to begin
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class RedirectReader:
    """Reads the redirects of one sign-in, which began with `state` at `authorize_url`."""

    state: Secret
    authorize_url: str
    issuer: str = ""  # who answers there, if that is known (RFC 9207)
    account: str = ""
    names_issuer: bool = False  # it says so in each redirect

    def code(self, query: Secret) -> Secret:
        """The authorization code that `query`, what stands behind the ``?``, carries.

        Raises `GrantRefused`, or `TokenUnavailable` when the server cannot at the moment.
        """
        verdict = self._read(query.reveal())
        if isinstance(verdict, CredentialError):  # raised where no code lies open in a local variable
            raise verdict
        return verdict

    def pasted(self, text: Secret) -> Secret:
        """The code in what a person pasted: the whole address the browser ended at, or the code alone.

        Raises what `code` raises; where there is no state, none can be wrong.
        """
        query, code = _pasted(text)
        if query is not None and _BRINGS.search(query.reveal()):
            return self.code(query)
        if code is not None:
            return code
        raise self._refused(
            "What was pasted holds no code.",
            "no_code",
            "Sign in at the address shown, and paste the whole address that the browser ended at then, with "
            "all that stands behind the ?.",
        )

    def _read(self, query: str) -> Secret | CredentialError:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError:
            pairs = []
        names = [name for name, _ in pairs]
        # First of all whose it is: nobody else may end this sign-in, not even by a malformed redirect.
        states = [value for name, value in pairs if name == "state"]
        state = states[0] if len(states) == 1 else ""
        if not hmac.compare_digest(state.encode(), self.state.reveal().encode()):
            return self._refused(
                f"The redirect carries {'another state than' if state else 'no state of'} this sign-in: it "
                "belongs to an earlier one, or somebody else made it.",
                WRONG_STATE,
                "Open the address of this sign-in, and close older tabs.",
            )
        if any(names.count(name) > 1 for name in _ONCE):
            return self._refused("The redirect says something twice (RFC 6749 3.1).", "malformed")
        return self._judge(dict(pairs))

    def _judge(self, fields: dict[str, str]) -> Secret | CredentialError:
        issuer = fields.get("iss", "")
        if self.issuer and issuer != self.issuer and (issuer or self.names_issuer):  # RFC 9207 2.4
            sender = f"comes from {scrub(issuer, ())}, and not" if issuer else "does not say that it comes"
            return self._refused(
                f"The redirect {sender} from {self.issuer}.",
                "wrong_issuer",
                "If this is the right server, correct issuer; else somebody mixed up two servers.",
            )
        if fields.get("error"):
            error = read_refusal(fields, self.authorize_url, account=self.account, secrets=[self.state])
            error.hint = error.hint.replace(SIGN_IN_AGAIN, AGREE)
            return error
        if not _CODE.match(fields.get("code", "")):
            return self._refused("The redirect brings no code.", "no_code", "Sign in again.")
        return Secret(fields["code"])

    def _refused(self, text: str, code: str, hint: str = "Sign in again.") -> GrantRefused:
        return GrantRefused(text, account=self.account, code=code, who="mailbox user", hint=hint)


def _pasted(text: Secret) -> tuple[Secret | None, Secret | None]:
    """What was pasted as a query, or else as a code, or as neither."""
    pasted = "".join(text.reveal().split())  # a terminal may have broken the line
    try:
        query = urlsplit(pasted).query if "://" in pasted or pasted.startswith("?") else ""
    except ValueError:
        return None, None
    if query or re.match(r"(code|state|error)=", pasted):
        return Secret(query or pasted), None
    plain = unquote(pasted) if _ESCAPE.search(pasted) else pasted
    return None, Secret(plain) if "://" not in plain and _CODE.match(plain) else None


def loopback_port(uri: str) -> int | None:
    """The port in the redirect URI `uri`, 0 for any; None if it does not lead to this machine by http.

    Raises `ConfigError` for what no browser should be sent to with a code.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unusable("cannot be read") from None
    if not parts.scheme or parts.fragment or not uri.isprintable() or " " in uri:
        raise _unusable("is no address without a fragment (RFC 6749 3.1.2)")
    if parts.scheme != "http":
        return None  # https, or what a provider has in its place: the address or the code is pasted
    if not is_loopback(host):
        raise _unusable(f"would bring the code to {host} in the clear")
    return port or 0


def with_port(uri: str, port: int) -> str:
    """The loopback redirect URI `uri` with `port`: the one part that may differ (RFC 8252 7.3)."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    return urlunsplit(parts._replace(netloc=f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))


def _unusable(why: str) -> ConfigError:
    return ConfigError(
        f"The redirect URI {why}.",
        key="redirect-uri",
        hint="Write the one that is registered: http://127.0.0.1, http://localhost, or https://…",
    )
