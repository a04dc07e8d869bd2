"""Log in a connection of Python's own smtplib with an access token.

::

    with smtplib.SMTP("smtp.office365.com", 587) as smtp:
        smtp.starttls(context=ssl.create_default_context())
        login(smtp, "alerts")
        smtp.send_message(message)
"""

from __future__ import annotations

import os
import smtplib
import ssl
from traceback import clear_frames

from postbearer.errors import Disconnected, RemoteProtocolError, TimedOut
from postbearer.integrations.identity import Identity, Peer, Who
from postbearer.integrations.login import Answer, Steps, steps
from postbearer.oauth import invalidate_blocking, token_blocking
from postbearer.reply import Reply
from postbearer.transport import LoginRefused

_HINT = "Call smtp.starttls(context=ssl.create_default_context()) first, or use SMTP_SSL with that context."


def login(
    smtp: smtplib.SMTP, who: Who, *, username: str = "", config: str | os.PathLike[str] | None = None
) -> Reply:
    """Log in by OAUTHBEARER or XOAUTH2, and return the server's reply.

    `who` is an `Account`, the name of one in the configuration file `config`, or a `TokenSource`, which
    needs a `username`. A token goes over verified TLS only, and to a server of its account.

    Raises `CredentialRefused` when the server refuses the token, which is then never used again: connect
    anew, and a new one is tried. `ServerRefused` is not about the token, and a later try may succeed.
    `MechanismMissing`, `LocalProtocolError`, `NetworkError`, and what getting a token raises, are as
    `Mailer.send` tells them; what smtplib makes of EHLO it raises itself. Not for a thread that runs an
    event loop.
    """
    identity = Identity.of(who, username, config)
    smtp.ehlo_or_helo_if_needed()
    peer = _peer(smtp)
    identity.check(peer, _HINT)
    token = token_blocking(identity.source)
    offered = smtp.esmtp_features.get("auth", "").split()
    try:
        return _run(smtp, peer, steps(identity, peer, token, offered))
    except LoginRefused as refused:
        if refused.token is not None:
            invalidate_blocking(identity.source, refused.token)
        raise


def _peer(smtp: smtplib.SMTP) -> Peer:
    sock = smtp.sock
    if sock is None:
        raise Disconnected("This smtplib connection is closed.", hint="Connect first.")
    return Peer.of(sock if isinstance(sock, ssl.SSLSocket) else None, sock.getpeername())


def _run(smtp: smtplib.SMTP, peer: Peer, talk: Steps) -> Reply:
    """Let `smtp` say the lines. An error leaves without the variables on its way: they hold the token."""
    loud, smtp.debuglevel = smtp.debuglevel, 0  # it would print the token
    try:
        return _say(smtp, peer, talk)
    except BaseException as error:
        clear_frames(error.__traceback__)
        if isinstance(error, RemoteProtocolError):
            smtp.close()  # what comes next could be taken for the answer to something else
        raise
    finally:
        smtp.debuglevel = loud


def _say(smtp: smtplib.SMTP, peer: Peer, talk: Steps) -> Reply:
    line = next(talk)
    try:
        while True:
            line = talk.send(_ask(smtp, peer, line))
    except StopIteration as end:
        reply: Reply = end.value
        return reply


def _ask(smtp: smtplib.SMTP, peer: Peer, line: bytes) -> Answer:
    try:
        return smtp.docmd(line.decode("ascii"))
    except smtplib.SMTPServerDisconnected as error:
        late = isinstance(error.__context__, TimeoutError)
        clear_frames(error.__traceback__)
    except smtplib.SMTPResponseException as error:
        clear_frames(error.__traceback__)
        raise RemoteProtocolError(f"{peer} sent a reply that smtplib does not take.") from None
    if late:
        raise TimedOut(f"{peer} did not answer AUTH in time.", host=str(peer), stage="auth")
    raise Disconnected(f"{peer} closed the connection at AUTH.", host=str(peer), stage="auth")
