"""``postbearer check``: what is wrong with an account, and how to cure it."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import click

from postbearer.cli.exits import Exit
from postbearer.cli.options import Common, common_options, json_option, pass_common
from postbearer.cli.output import print_json, printable, style

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from postbearer.providers import Rule
    from postbearer.verdict import Verdict

_MARKS = {"ok": ("✓", "good"), "warning": ("!", "warning"), "failed": ("✗", "error"), "skipped": ("-", "dim")}
_WORST = (Exit.CONFIG, Exit.NO_PERMISSION, Exit.UNAVAILABLE, Exit.TRY_AGAIN)


class Step(Protocol):
    """One step of the examination, as `postbearer.diagnosis` reports it."""

    account: str
    name: str
    state: str  # ok, warning, failed, skipped
    text: str
    cause: str
    remedy: str
    command: str  # what an administrator can type
    exit: int


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
        from postbearer.verdict import explain as meaning

        verdict = meaning(explain, _all_rules())
        if common.as_json:
            print_json(_verdict(verdict))
        else:
            _show_verdict(verdict)
        return Exit.OK if verdict.cause else Exit.DATA
    steps = asyncio.run(_examine(common, accounts, send_to))
    if common.as_json:
        print_json({"steps": [_step(step) for step in steps]})
    codes = {step.exit for step in steps if step.state == "failed"}
    return next((code for code in _WORST if code in codes), Exit.OK)


def _all_rules() -> list[Rule]:
    """What every provider is known to say; what anybody may say comes last."""
    from postbearer.providers import generic_rules, names, preset

    generic = list(generic_rules())
    rules = {rule.id: rule for name in names() for rule in preset(name).rules if rule not in generic}
    return [*rules.values(), *generic]


async def _examine(common: Common, accounts: tuple[str, ...], send_to: str | None) -> list[Step]:
    from postbearer.assembly import Assembly

    diagnosis = import_module("postbearer.diagnosis")
    assembly = Assembly.load(common.config)
    examined: AsyncIterator[Step] = diagnosis.diagnose(assembly, accounts or assembly.names, send_to=send_to)
    steps = []
    async for step in examined:
        steps.append(step)
        if not common.as_json:
            _show(step)
    return steps


def _show(step: Step) -> None:
    mark, name = _MARKS[step.state]
    click.echo(f"{style(mark, name, sys.stdout)} {step.account} {step.name}: {printable(step.text)}")
    for text in (step.cause, step.remedy, step.command):
        if text:
            click.echo(f"    {printable(text)}")


def _step(step: Step) -> dict[str, Any]:
    names = ("account", "name", "state", "text", "cause", "remedy", "command")
    return {name: value for name in names if (value := getattr(step, name))}


def _show_verdict(verdict: Verdict) -> None:
    if not verdict.cause:
        click.echo("Nothing in it is known.")
        return
    click.echo(printable(verdict.cause))
    if verdict.remedy:
        click.echo(f"  {style('→', 'dim', sys.stdout)} {printable(verdict.remedy)}")
    click.echo(f"  {verdict.state}, concerns the {verdict.scope}; to be cured by: {verdict.who}")


def _verdict(verdict: Verdict) -> dict[str, Any]:
    names = ("state", "scope", "klass", "cause", "remedy", "who", "rule")
    return {name: str(getattr(verdict, name)) for name in names} | {"wait": verdict.wait}
