"""Log in a connection of aiosmtplib with an access token.

::

    async with aiosmtplib.SMTP(hostname="smtp.office365.com", port=587, start_tls=True) as smtp:
        await login(smtp, "alerts")
        await smtp.send_message(message)
"""

from __future__ import annotations

import os
from traceback import clear_frames

from postbearer.integrations.requirement import requires

with requires("aiosmtplib", "aiosmtplib"):
    import aiosmtplib

from postbearer.errors import Disconnected, RemoteProtocolError, TimedOut
from postbearer.integrations.identity import Identity, Peer, Who
from postbearer.integrations.login import Answer, Steps, steps
from postbearer.reply import Reply
from postbearer.transport import LoginRefused

_HINT = "Connect with use_tls=True or start_tls=True, and leave validate_certs as it is."


async def login(
    smtp: aiosmtplib.SMTP, who: Who, *, username: str = "", config: str | os.PathLike[str] | None = None
) -> Reply:
    """`postbearer.integrations.smtplib.login`, awaited: the same arguments, the same errors."""
    identity = Identity.of(who, username, config)
    if smtp.is_ehlo_or_helo_needed:
        await smtp.ehlo()
    peer = _peer(smtp)
    identity.check(peer, _HINT)
    token = await identity.source.token()
    try:
        return await _run(smtp, peer, steps(identity, peer, token, smtp.server_auth_methods))
    except LoginRefused as refused:
        if refused.token is not None:
            await identity.source.invalidate(refused.token)
        raise


def _peer(smtp: aiosmtplib.SMTP) -> Peer:
    try:
        return Peer.of(smtp.get_transport_info("ssl_object"), smtp.get_transport_info("peername"))
    except aiosmtplib.SMTPServerDisconnected:
        raise Disconnected("This aiosmtplib connection is closed.", hint="Connect first.") from None


async def _run(smtp: aiosmtplib.SMTP, peer: Peer, talk: Steps) -> Reply:
    """Let `smtp` say the lines. An error leaves without the variables on its way: they hold the token."""
    try:
        return await _say(smtp, peer, talk)
    except BaseException as error:
        clear_frames(error.__traceback__)
        if isinstance(error, RemoteProtocolError):
            smtp.close()  # what comes next could be taken for the answer to something else
        raise


async def _say(smtp: aiosmtplib.SMTP, peer: Peer, talk: Steps) -> Reply:
    line = next(talk)
    try:
        while True:
            line = talk.send(await _ask(smtp, peer, line))
    except StopIteration as end:
        reply: Reply = end.value
        return reply


async def _ask(smtp: aiosmtplib.SMTP, peer: Peer, line: bytes) -> Answer:
    try:
        code, text = await smtp.execute_command(line)
        return code, text.encode("utf-8", "surrogateescape")
    except aiosmtplib.SMTPTimeoutError as error:
        clear_frames(error.__traceback__)
        late = True
    except aiosmtplib.SMTPServerDisconnected as error:
        clear_frames(error.__traceback__)
        late = False
    except aiosmtplib.SMTPResponseException as error:
        clear_frames(error.__traceback__)
        raise RemoteProtocolError(f"{peer} sent a reply that aiosmtplib does not take.") from None
    if late:
        raise TimedOut(f"{peer} did not answer AUTH in time.", host=str(peer), stage="auth")
    raise Disconnected(f"{peer} closed the connection at AUTH.", host=str(peer), stage="auth")
