"""``postbearer check``: walk the whole way of an account's mail, and name the fix for what fails."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli import completion
from postbearer.cli.diagnosis_output import as_json, explanation_as_json, show, show_explanation, show_note
from postbearer.cli.exit_codes import ExitCode
from postbearer.cli.options import Common, common_options, pass_common
from postbearer.cli.output import note, print_json, printable, style
from postbearer.cli.progress import Progress
from postbearer.cli.tables import moment
from postbearer.errors import ConfigError, PostbearerError, UsageError

if TYPE_CHECKING:
    from postbearer.assembly import Assembly
    from postbearer.control import ControlClient, DiagnosisResult, PauseInfo
    from postbearer.diagnosis import Finding
    from postbearer.providers import Preset
    from postbearer.transport import Transcript

_LONGEST = 64 * 1024  # octets of a text to explain


def _address(context: click.Context, parameter: click.Parameter, given: str | None) -> str:
    from postbearer.address import Address

    try:
        return "" if given is None else str(Address.parse(given))
    except UsageError as error:
        raise click.BadParameter(printable(error.message)) from None


@click.command("check")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...", shell_complete=completion.accounts)
@click.option("--send-to", metavar="ADDRESS", callback=_address, help="Send a real message there at the end.")
@click.option(
    "--explain", "text", metavar="TEXT", help="Only explain a reply or an error from a log; - reads it."
)
@click.option("--relay", "from_relay", is_flag=True, help="Have the running relay look, or fail.")
@click.option("--local", is_flag=True, help="Look from here, also where a relay runs.")
@common_options
@pass_common
def command(
    common: Common, accounts: tuple[str, ...], send_to: str, text: str | None, local: bool, from_relay: bool
) -> int:
    """Find out why mail does not leave, and what to do about it.

    Walks the whole way of each ACCOUNT, or of all: configuration, secrets, DNS, TCP, TLS, EHLO, token,
    login, and whether DNS (SPF, DKIM, DMARC) has others believe the mail; with --send-to also a real
    message, which some servers need to tell that a permission is missing. A token is asked for anew, so
    that a secret that no longer works is not hidden by a kept one.

    If a relay runs by the same file, it is the one that looks, with its own secrets, by the configuration
    as it is in the file now; else, or with --local or --config, this command itself.

    \b
    postbearer check alerts --send-to you@example.org
    postbearer check --explain "535 5.7.3 Authentication unsuccessful"

    Exit code 0 means that mail leaves, 78 that something is set wrong, 77 that we were refused,
    69 that the recipient was, 75 that trying again may be enough. With -v the conversation is shown,
    without secrets.
    """
    if text is not None:
        return _explain(common, sys.stdin.read(_LONGEST) if text == "-" else text, accounts)
    if local and from_relay:
        raise UsageError("--relay and --local cannot both be.", hint="Choose who looks.")
    relay = None if local else _relay(common, wanted=from_relay)
    if relay is None:
        reports = asyncio.run(_check(common, accounts, send_to))
    else:
        reports = _ask(relay, common, accounts, send_to)
    code = _exit_code(finding for report in reports for finding in report.findings)
    if common.as_json:
        told = [report.told(verbose=common.verbose) for report in reports]
        by = "relay" if relay is not None else "command"
        print_json({"ok": code is ExitCode.OK, "exit": int(code), "by": by, "accounts": told})
    return code


@dataclass(slots=True)
class CheckReport:
    """What was found out about one account; an empty name stands for the configuration itself."""

    account: str
    findings: list[Finding] = field(default_factory=list)
    conversations: list[list[str]] = field(default_factory=list)
    pause: PauseInfo | None = None  # why and until when the relay has it paused

    def capture(self) -> Transcript:
        """What sees one more conversation."""
        from postbearer.transport import Transcript

        transcript = Transcript()
        self.conversations.append(transcript.lines)
        return transcript

    def told(self, *, verbose: bool) -> dict[str, Any]:
        """The report as JSON."""
        code = _exit_code(self.findings)
        value = {
            "account": self.account,
            "ok": code is ExitCode.OK,
            "exit": int(code),
            "findings": [as_json(finding) for finding in self.findings],
        }
        if self.pause is not None:
            value["pause"] = self.pause
        if verbose:
            value["conversations"] = self.conversations
        return value


async def _check(common: Common, names: tuple[str, ...], send_to: str) -> list[CheckReport]:
    from postbearer.assembly import Assembly
    from postbearer.diagnosis import not_configured

    talk = not common.as_json
    try:
        assembly = Assembly.load(common.config)
    except ConfigError as error:
        report = CheckReport("", list(not_configured(error)))
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
    reports = await _of_relay(assembly, talk=talk)
    for name in dict.fromkeys(names or assembly.names):
        report = CheckReport(name)
        if talk and reports:
            click.echo()
        await _examine(assembly, report, send_to, talk=talk)
        if talk and common.verbose:
            _show_conversations(report)
        reports.append(report)
    return reports


async def _of_relay(assembly: Assembly, *, talk: bool) -> list[CheckReport]:
    """The report on the relay as a whole, where there is something to say."""
    from postbearer.daemon import relay_findings

    with Progress("Looking at the relay"):
        findings = await relay_findings(assembly)
    report = CheckReport("", list(findings))
    if findings and talk:
        _show_all(report)
    return [report] if findings else []


def _relay(common: Common, *, wanted: bool) -> ControlClient | None:
    """The relay that shall look; None if this command does it itself."""
    from postbearer.cli.queue_client import own_relay, running_relay

    if wanted:
        return running_relay(needed=True)
    client = None if common.config else own_relay(common)
    if client is not None and (file := _other_file(client)):
        note(f"A relay runs by {file}, so this command looks itself.", "To have it look: --relay")
        return None
    return client


def _other_file(relay: ControlClient) -> str:
    """The configuration of the relay, if ours is another; accounts of the same name need not be the same."""
    from postbearer.config import find

    whole: DiagnosisResult = relay.call("accounts.check")
    file = whole.file
    try:
        ours = find(None, os.environ)
    except ConfigError:
        return ""
    return "" if not file or os.path.realpath(ours) == os.path.realpath(file) else file


def _ask(relay: ControlClient, common: Common, names: tuple[str, ...], send_to: str) -> list[CheckReport]:
    """What the relay finds, which reads the configuration for that."""
    talk = not common.as_json
    whole: DiagnosisResult = relay.call("accounts.check")
    apart = ("",) if whole.findings else ()  # the file is wrong, or the queue is in a database
    asked = () if apart and not whole.accounts else names or whole.accounts
    reports: list[CheckReport] = []
    for name in dict.fromkeys((*apart, *asked)):
        with Progress(f"The relay checks {name}"):
            answer = whole if not name else _ask_for(relay, name, send_to)
        report = CheckReport(
            name, [*answer.findings], [[*lines] for lines in answer.conversations], answer.pause
        )
        reports.append(report)
        if talk and reports[1:]:
            click.echo()
        if talk:
            _show_all(report)
        if talk and common.verbose:
            _show_conversations(report)
    return reports


def _ask_for(relay: ControlClient, name: str, send_to: str) -> DiagnosisResult:
    found: DiagnosisResult = relay.call("accounts.check", name=name, send_to=send_to)
    return found


async def _examine(assembly: Assembly, report: CheckReport, send_to: str, *, talk: bool) -> None:
    """Put what is found into `report`, and show it as it comes."""
    from postbearer.daemon import examination
    from postbearer.diagnosis import not_configured

    try:
        diagnosis = examination(assembly, report.account, send_to, report.capture)
    except PostbearerError as error:
        report.findings += not_configured(error)
        if talk:
            _show_all(report)
        return
    if talk:
        click.echo(style(report.account, "bold", sys.stdout))
    several = len(diagnosis.account.outgoing.servers) > 1
    async with aclosing(diagnosis.run()) as findings:
        while True:
            with Progress("Checking"):
                finding = await anext(findings, None)
            if finding is None:
                return
            report.findings.append(finding)
            if talk:
                show(finding, with_server=several)


def _preset(assembly: Assembly, name: str) -> Preset:
    return assembly.configuration.preset(assembly.configuration.account(name))


def _exit_code(findings: Iterator[Finding] | list[Finding]) -> ExitCode:
    from postbearer.diagnosis import Failure, worst

    codes = {
        None: ExitCode.OK,
        Failure.DEFECT: ExitCode.BUG,
        Failure.CONFIGURATION: ExitCode.CONFIG,
        Failure.REFUSED: ExitCode.NO_PERMISSION,
        Failure.UNDELIVERABLE: ExitCode.UNAVAILABLE,
        Failure.TRANSIENT: ExitCode.TRY_AGAIN,
        Failure.UNTRUSTED: ExitCode.OK,  # mail leaves
    }
    return codes[worst(findings)]


def _show_all(report: CheckReport) -> None:
    if report.account:
        click.echo(style(report.account, "bold", sys.stdout))
    several = len({finding.server for finding in report.findings if finding.server}) > 1
    for finding in report.findings:
        show(finding, with_server=several)
    if report.pause is not None:
        again = report.pause.tried_again
        until = "until it is resumed" if again is None else f"and tries it again at {moment(again)}"
        show_note(
            f"The relay has it paused, {until}: {report.pause.reason}"
            f" To have it try now: postbearer accounts resume {report.account}"
        )


def _show_conversations(report: CheckReport) -> None:
    for lines in report.conversations:
        click.echo("", err=True)
        for line in lines:
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
    return ExitCode.OK if found else ExitCode.DATA
