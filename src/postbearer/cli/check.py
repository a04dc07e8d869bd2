"""``postbearer check``: walk the whole way of an account's mail, and name the fix for what fails."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.exits import Exit
from postbearer.cli.findings import as_json, explanation_as_json, show, show_explanation
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import print_json, printable, style
from postbearer.cli.progress import Progress
from postbearer.errors import ConfigError, PostbearerError, UsageError

if TYPE_CHECKING:
    from email.message import EmailMessage

    from postbearer.assembly import Assembly
    from postbearer.diagnosis import Diagnosis, Finding
    from postbearer.outcome import Receipt
    from postbearer.providers import Preset
    from postbearer.transport import Conversation, Server, Transcript

_LONGEST = 64 * 1024  # octets of a text to explain


def _address(context: click.Context, parameter: click.Parameter, given: str | None) -> str:
    from postbearer.address import Address

    try:
        return "" if given is None else str(Address.parse(given))
    except UsageError as error:
        raise click.BadParameter(printable(error.message)) from None


@click.command("check")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@click.option("--send-to", metavar="ADDRESS", callback=_address, help="Send a real message there at the end.")
@click.option(
    "--explain", "text", metavar="TEXT", help="Only explain a reply or an error from a log; - reads it."
)
@common_options
@pass_common
def command(common: Common, accounts: tuple[str, ...], send_to: str, text: str | None) -> int:
    """Find out why mail does not leave, and what to do about it.

    Walks the whole way of each ACCOUNT, or of all: configuration, secrets, DNS, TCP, TLS, EHLO, token,
    login; with --send-to also a real message, which some servers need to tell that a permission is
    missing. A token is asked for anew, so that a secret that no longer works is not hidden by a kept one.

    \b
    postbearer check alerts --send-to you@example.org
    postbearer check --explain "535 5.7.3 Authentication unsuccessful"

    Exit code 0 means that nothing failed, 78 that something is set wrong, 77 that we were refused,
    75 that trying again may be enough. With -v the conversation is shown, without secrets.
    """
    if text is not None:
        return _explain(common, sys.stdin.read(_LONGEST) if text == "-" else text, accounts)
    reports = asyncio.run(_check(common, accounts, send_to))
    code = _exit_code(finding for report in reports for finding in report.findings)
    if common.as_json:
        told = [report.told(verbose=common.verbose) for report in reports]
        print_json({"ok": code is Exit.OK, "exit": int(code), "accounts": told})
    return code


@dataclass(slots=True)
class Report:
    """What was found out about one account; an empty name stands for the configuration itself."""

    account: str
    findings: list[Finding] = field(default_factory=list)
    transcripts: list[Transcript] = field(default_factory=list)

    def capture(self) -> Transcript:
        """What sees one more conversation."""
        from postbearer.transport import Transcript

        self.transcripts.append(Transcript())
        return self.transcripts[-1]

    def told(self, *, verbose: bool) -> dict[str, Any]:
        """The report as JSON."""
        code = _exit_code(self.findings)
        value = {
            "account": self.account,
            "ok": code is Exit.OK,
            "exit": int(code),
            "findings": [as_json(finding) for finding in self.findings],
        }
        if verbose:
            value["conversations"] = [transcript.lines for transcript in self.transcripts]
        return value


async def _check(common: Common, names: tuple[str, ...], send_to: str) -> list[Report]:
    from postbearer.assembly import Assembly
    from postbearer.diagnosis import not_configured

    talk = not common.as_json
    try:
        assembly = Assembly.load(common.config)
    except ConfigError as error:
        report = Report("", list(not_configured(error)))
        if talk:
            _show_all(report)
        return [report]
    for name in names:
        assembly.configuration.account(name)  # a name mistyped is told before anything is done
    if not assembly.names:
        raise ConfigError(
            "There is no account to check.",
            file=assembly.configuration.path,
            hint="Add a table [accounts.NAME].",
        )
    reports: list[Report] = []
    for name in dict.fromkeys(names or assembly.names):
        report = Report(name)
        if talk and reports:
            click.echo()
        await _examine(assembly, report, send_to, talk=talk)
        if talk and common.verbose:
            _show_conversations(report)
        reports.append(report)
    return reports


async def _examine(assembly: Assembly, report: Report, send_to: str, *, talk: bool) -> None:
    """Put what is found into `report`, and show it as it comes."""
    from postbearer.diagnosis import not_configured

    try:
        diagnosis = _diagnosis(assembly, report, send_to)
    except PostbearerError as error:
        report.findings += not_configured(error)
        if talk:
            _show_all(report)
        return
    if talk:
        click.echo(style(report.account, "bold", sys.stdout))
    several = len(diagnosis.account.smarthost.servers) > 1
    async with aclosing(diagnosis.run()) as findings:
        while True:
            with Progress("Checking"):
                finding = await anext(findings, None)
            if finding is None:
                return
            report.findings.append(finding)
            if talk:
                show(finding, with_server=several)


def _diagnosis(assembly: Assembly, report: Report, send_to: str) -> Diagnosis:
    from postbearer.diagnosis import Diagnosis
    from postbearer.mailer import AsyncMailer

    account = assembly.account(report.account)

    async def send(message: EmailMessage, talk: Conversation, server: Server) -> Receipt:
        async with AsyncMailer(account, state=assembly.state, capture=report.capture) as mailer:
            await mailer.adopt(talk, server)
            return await mailer.send(message, wait=False)

    return Diagnosis(
        account,
        state=assembly.state,
        provider=_preset(assembly, report.account),
        tenant=assembly.configuration.account(report.account).tenant or "",
        send=send,
        send_to=send_to,
        capture=report.capture,
    )


def _preset(assembly: Assembly, name: str) -> Preset:
    return assembly.configuration.preset(assembly.configuration.account(name))


def _exit_code(findings: Iterator[Finding] | list[Finding]) -> Exit:
    from postbearer.diagnosis import Failure, worst

    codes = {
        None: Exit.OK,
        Failure.DEFECT: Exit.BUG,
        Failure.CONFIGURATION: Exit.CONFIG,
        Failure.REFUSED: Exit.NO_PERMISSION,
        Failure.TRANSIENT: Exit.TRY_AGAIN,
    }
    return codes[worst(findings)]


def _show_all(report: Report) -> None:
    if report.account:
        click.echo(style(report.account, "bold", sys.stdout))
    for finding in report.findings:
        show(finding)


def _show_conversations(report: Report) -> None:
    for transcript in report.transcripts:
        click.echo("", err=True)
        for line in transcript.lines:
            click.echo(printable(line), err=True)


def _explain(common: Common, text: str, accounts: tuple[str, ...]) -> int:
    from postbearer.diagnosis import explain

    if accounts:
        from postbearer.assembly import Assembly

        assembly = Assembly.load(common.config)
        presets = [_preset(assembly, name) for name in accounts]
    else:
        known = common.providers()
        presets = [known.preset(name) for name in known.names()]
    found = explain(text, presets)
    if common.as_json:
        print_json({"explanations": [explanation_as_json(each) for each in found]})
    for each in () if common.as_json else found:
        show_explanation(each, several=len(found) > 1)
    if not found and not common.as_json:
        click.echo("Nothing in it is known. Give the whole reply, with its numbers.")
    return Exit.OK if found else Exit.DATA
