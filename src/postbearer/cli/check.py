"""``postbearer check``: what is wrong with an account, and how to cure it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.exits import Exit
from postbearer.cli.options import Common, common_options, json_option, pass_common
from postbearer.cli.output import print_json, printable, style
from postbearer.errors import ConfigError, SecretError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from postbearer.assembly import Assembly
    from postbearer.diagnosis import Explanation, Finding

_MARKS = {True: ("✓", "good"), False: ("✗", "error"), None: ("-", "dim")}


@click.command("check")
@click.argument("accounts", nargs=-1)
@click.option("--send-to", metavar="ADDRESS", help="Send a real message there at the end.")
@click.option("--explain", metavar="TEXT", help="Explain a reply or an error from a log; no account needed.")
@json_option
@common_options
@pass_common
def command(common: Common, accounts: tuple[str, ...], send_to: str | None, explain: str | None) -> int:
    """Find out what is wrong with ACCOUNTS (all of them unless named), and how to cure it.

    Configuration, secret, DNS, TCP, TLS, EHLO, token, AUTH, and a real message if asked for. Exit
    code 0 means that all is good, 78 configuration, 77 refused, 75 that trying again is right.
    """
    if explain is not None:
        return _explain(common, explain)
    from postbearer.assembly import Assembly

    assembly = Assembly.load(common.config)
    findings: list[tuple[str, Finding]] = []
    for name in accounts or assembly.names:
        findings += [(name, each) for each in asyncio.run(_examine(common, assembly, name, send_to))]
    if common.as_json:
        print_json({"findings": [{"account": name, **_finding(each)} for name, each in findings]})
    return _exit(each for _, each in findings)


async def _examine(common: Common, assembly: Assembly, name: str, send_to: str | None) -> list[Finding]:
    from postbearer.diagnosis import Diagnosis, not_configured

    findings: list[Finding] = []
    try:
        account = assembly.account(name)
    except (ConfigError, SecretError) as error:
        findings.extend(not_configured(error))
        for finding in findings:
            _show(common, name, finding)
        return findings
    async for finding in Diagnosis(account, state=assembly.state).run(send_to=send_to):
        findings.append(finding)
        _show(common, name, finding)
    return findings


def _exit(findings: Iterable[Finding]) -> Exit:
    from postbearer.diagnosis import Failure, worst

    codes = {
        None: Exit.OK,
        Failure.CONFIGURATION: Exit.CONFIG,
        Failure.REFUSED: Exit.NO_PERMISSION,
        Failure.TRANSIENT: Exit.TRY_AGAIN,
    }
    return codes[worst(findings)]


def _show(common: Common, account: str, finding: Finding) -> None:
    if common.as_json:
        return
    mark, name = _MARKS[finding.ok]
    place = f" {finding.server}" if finding.server else ""
    head = f"{account} {finding.step}{place}: {finding.text}"
    click.echo(f"{style(mark, name, sys.stdout)} {printable(head)}")
    who = f"To be done by: {finding.who}." if finding.who and finding.fix else ""
    for text in (finding.cause, finding.fix, who, *finding.notes):
        if text:
            click.echo(f"    {printable(text)}")
    for command in finding.commands:
        click.echo(f"    {style(printable(command.line), 'bold', sys.stdout)}")
        for hint in command.unknown:
            click.echo(f"      {printable(hint)}")


def _finding(finding: Finding) -> dict[str, Any]:
    from dataclasses import asdict

    return {name: value for name, value in asdict(finding).items() if name == "ok" or value}


def _explain(common: Common, text: str) -> Exit:
    from postbearer.diagnosis import explain

    explanations = explain(text)
    if common.as_json:
        print_json({"explanations": [_explanation(each) for each in explanations]})
    elif not explanations:
        click.echo("Nothing in it is known.")
    for each in () if common.as_json else explanations:
        verdict = each.verdict
        click.echo(printable(f"{each.title}: {verdict.cause}" if each.title else verdict.cause))
        if verdict.remedy:
            click.echo(f"  {style('→', 'dim', sys.stdout)} {printable(verdict.remedy)}")
        click.echo(f"  {verdict.state}, concerns the {verdict.scope}; to be cured by: {verdict.who}")
    return Exit.OK if explanations else Exit.DATA


def _explanation(explanation: Explanation) -> dict[str, Any]:
    names = ("state", "scope", "klass", "cause", "remedy", "who", "rule")
    told = {name: str(getattr(explanation.verdict, name)) for name in names}
    return {"provider": explanation.title, **told, "wait": explanation.verdict.wait}
