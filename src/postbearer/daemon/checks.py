"""The examination of one account with all it needs: here by ``check``, and in the relay for ``check``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from postbearer.assembly import Assembly
from postbearer.clock import SystemClock
from postbearer.control import DiagnosisResult
from postbearer.diagnosis import Diagnosis, Finding, Step, examine_database, not_configured
from postbearer.errors import ConfigError, PostbearerError
from postbearer.mailer import AsyncMailer
from postbearer.message import Draft
from postbearer.outcome import Receipt
from postbearer.store import PostgresUrl
from postbearer.transport import Conversation, ServerAddress, Transcript

Capture = Callable[[], Transcript]


def examination(assembly: Assembly, name: str, send_to: str, capture: Capture) -> Diagnosis:
    """What examines the account `name`; `capture` sees each conversation. Raises `PostbearerError`."""
    account = assembly.account(name)
    settings = assembly.configuration.account(name)

    async def send(draft: Draft, talk: Conversation, server: ServerAddress) -> Receipt:
        async with AsyncMailer(account, state=assembly.persistence, capture=capture) as mailer:
            await mailer.adopt(talk, server)
            return await mailer.send(draft.compose(), draft.envelope(), wait=False)

    return Diagnosis(
        account,
        state=assembly.persistence,
        provider=assembly.configuration.preset(settings),
        tenant=settings.tenant or "",
        send=send,
        send_to=send_to,
        capture=capture,
    )


async def relay_findings(assembly: Assembly) -> tuple[Finding, ...]:
    """What is found of the relay as a whole: its clients, where they are in doubt, and its database."""
    doubts = [
        Finding(step=Step.CONFIGURATION, ok=True, text=each.told, notes=(each.hint,))
        for each in assembly.configuration.client_warnings()
    ]
    return (*doubts, *await _database_findings(assembly))


async def _database_findings(assembly: Assembly) -> tuple[Finding, ...]:
    """Nothing where the queue is in a file."""
    try:
        url = assembly.spool
        if not isinstance(url, PostgresUrl):
            return ()
        return await examine_database(url, assembly.spool_password, assembly.persistence, SystemClock())
    except PostbearerError as error:  # what is configured cannot be asked for
        return not_configured(error)[:1]


async def examining(load: Callable[[], Assembly], name: str, send_to: str) -> AsyncGenerator[Finding, None]:
    """What examining the account `name` finds, as it is found, by the configuration as it is now.

    Raises `ConfigError` for an unknown name.
    """
    try:
        assembly = load()
    except ConfigError as error:
        for finding in not_configured(error):
            yield finding
        return
    assembly.configuration.account(name)
    try:
        async with aclosing(examination(assembly, name, send_to, Transcript).run()) as steps:
            async for finding in steps:
                yield finding
    except PostbearerError as error:
        for finding in not_configured(error):
            yield finding


async def examined(load: Callable[[], Assembly], name: str, send_to: str) -> DiagnosisResult:
    """What examining the account `name` finds. The configuration is read for that, as it is now.

    Without a name it is only read: `file` is where it stands, `accounts` are those it has; and the database
    is looked at, if the queue is in one. Raises `ConfigError` for an unknown name.
    """
    transcripts: list[Transcript] = []

    def capture() -> Transcript:
        transcripts.append(Transcript())
        return transcripts[-1]

    findings: list[Finding] = []
    names: tuple[str, ...] = ()
    try:
        assembly = load()
    except ConfigError as error:
        findings += not_configured(error)
        file = error.file
    else:
        names, file = assembly.names, assembly.configuration.path
        if name:
            assembly.configuration.account(name)
            try:
                findings += [found async for found in examination(assembly, name, send_to, capture).run()]
            except PostbearerError as error:
                findings += not_configured(error)
        else:
            findings += await relay_findings(assembly)
    return DiagnosisResult(
        file=file,
        accounts=names,
        findings=tuple(findings),
        conversations=tuple(tuple(transcript.lines) for transcript in transcripts),
    )
