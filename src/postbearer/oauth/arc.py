"""Azure Arc: machines outside of Azure that have an identity there, and how one proves that it asks.

Its agent answers on loopback to everybody on the machine, so it wants a proof: it writes a key into a
folder that only its group may read, names the file, and gives the token to whoever knows what is in it.
The name of the file comes over the network, so it is followed into that one folder only.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from postbearer.errors import CredentialError, GrantRefused, TokenUnavailable
from postbearer.http import HttpResponse, is_loopback
from postbearer.secret import Secret

AGENT = "http://127.0.0.1:40342/metadata/identity/oauth2/token"
_SIZE = 4096  # octets of a key; Microsoft's libraries take no more
_WINDOWS = sys.platform == "win32"


def agent(environ: Mapping[str, str], *, himds: str = "") -> str:
    """The address of the agent, if this machine has one; `himds` is its program, unless the usual one.

    The installer sets variables for logins, which a timer or a service may not see.
    """
    named = environ.get("IDENTITY_ENDPOINT", "")
    if named and environ.get("IMDS_ENDPOINT"):
        return named if is_loopback(urlsplit(named).hostname or "") else ""
    return AGENT if os.path.exists(himds or _himds(environ)) else ""


def key_folder(environ: Mapping[str, str]) -> str:
    """Where its agent leaves keys."""
    if _WINDOWS:
        return os.path.join(
            environ.get("ProgramData", r"C:\ProgramData"), "AzureConnectedMachineAgent", "Tokens"
        )
    return "/var/opt/azcmagent/tokens"


def proof(challenge: HttpResponse, folder: str, account: str = "") -> Secret:
    """What is in the file that `challenge` names, if that lies in `folder`.

    Raises `GrantRefused` for any other file and for one that may not be read, and `TokenUnavailable`
    for one that is gone.
    """
    outcome = _read(_named(challenge), folder, account)
    if isinstance(outcome, CredentialError):  # raised where no key lies open in a local variable
        raise outcome
    return outcome


def _himds(environ: Mapping[str, str]) -> str:
    if _WINDOWS:
        return os.path.join(
            environ.get("ProgramFiles", r"C:\Program Files"), "AzureConnectedMachineAgent", "himds.exe"
        )
    return "/opt/azcmagent/bin/himds"


def _named(challenge: HttpResponse) -> str:
    """The file in ``Basic realm=…``."""
    scheme, _, rest = challenge.headers.get("www-authenticate", "").strip().partition(" ")
    name, _, value = rest.strip().partition("=")
    return value.strip().strip('"') if (scheme.lower(), name.lower()) == ("basic", "realm") else ""


def _read(path: str, folder: str, account: str) -> Secret | CredentialError:
    inside = os.path.dirname(path) == folder.rstrip("/\\") and os.path.basename(path).endswith(".key")
    if not inside or not path.isprintable():
        return _refused(f"The agent of Azure Arc names no key file in {folder}.", account)
    try:
        # Neither a link nor a pipe: what stands there is to be what the agent wrote.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _refused(f"{path} is no file.", account)
            key = file.read(_SIZE + 1)
    except FileNotFoundError:
        return TokenUnavailable(f"The key file {path} of Azure Arc is gone.", account=account, code="arc_key")
    except OSError as error:
        return _refused(f"The key file {path} of Azure Arc cannot be read: {error.strerror}.", account)
    if len(key) > _SIZE or not key.isascii():
        return _refused(f"{path} is no key of Azure Arc.", account)
    return Secret(key.decode())


def _refused(text: str, account: str) -> GrantRefused:
    return GrantRefused(
        text,
        account=account,
        code="arc_key",
        who="host operator",
        hint="Put the user that sends mail into the group himds (on Windows: Hybrid agent extension "
        "applications), and start its program again.",
        configuration=True,
    )
