"""smtplib and aiosmtplib behind one face: connect, log in with a token, send one message."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Callable
from typing import Any

import aiosmtplib

from postbearer.integrations import aiosmtplib as aiosmtplib_login
from postbearer.integrations import smtplib as smtplib_login
from postbearer.reply import Reply
from support.sandboxed import message


def trusting(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def by_smtplib(
    port: int,
    context: ssl.SSLContext | None,
    who: Any,
    *,
    implicit: bool = False,
    sender: str = "alerts@example.org",
    prepare: Callable[[smtplib.SMTP], object] = lambda smtp: None,
    **options: Any,
) -> Reply:
    with contextlib.ExitStack() as stack:
        if implicit:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL("localhost", port, timeout=20, context=context)
        else:
            smtp = smtplib.SMTP("localhost", port, timeout=20)
        stack.callback(smtp.close)
        if context is not None and not implicit:
            smtp.starttls(context=context)
        prepare(smtp)
        reply = smtplib_login.login(smtp, who, **options)
        smtp.send_message(message(From=sender))
        smtp.quit()
    return reply


async def by_aiosmtplib(
    port: int,
    context: ssl.SSLContext | None,
    who: Any,
    *,
    implicit: bool = False,
    sender: str = "alerts@example.org",
    **options: Any,
) -> Reply:
    smtp = aiosmtplib.SMTP(
        hostname="localhost",
        port=port,
        timeout=20,
        use_tls=implicit,
        start_tls=context is not None and not implicit,
        tls_context=context,
    )
    await smtp.connect()
    transport = smtp.transport  # `quit` forgets it
    try:
        reply = await aiosmtplib_login.login(smtp, who, **options)
        await smtp.send_message(message(From=sender))
        await smtp.quit()
    finally:
        smtp.close()
        if transport is not None:
            transport.abort()  # a farewell in TLS would outlive the loop of the test
            await asyncio.sleep(0)
    return reply


async def send_by(library: str, *given: Any, **options: Any) -> Reply:
    if library == "aiosmtplib":
        return await by_aiosmtplib(*given, **options)
    return await asyncio.to_thread(by_smtplib, *given, **options)
