"""What people and programs see of a diagnosis."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.output import folded, printable, style

if TYPE_CHECKING:
    from postbearer.diagnosis import Command, Explanation, Finding

_MARKS = {True: ("✓", "good"), False: ("✗", "error"), None: ("–", "dim")}
_THEN = {
    "done": "Nothing has to be done.",
    "soon": "Trying again soon is right.",
    "window": "It passes after a while; then trying again is right.",
    "hold": "It stays so until somebody does something; the mail can wait.",
    "permanent": "Trying the same again does not help.",
}


def show(finding: Finding, *, with_server: bool = False) -> None:
    """One finding, with the way to cure it if it failed."""
    mark, colour = _MARKS[finding.ok]
    server = f"{finding.server}: " if with_server and finding.server not in finding.text else ""
    told = folded(printable(server + finding.text), sys.stdout, taken=19, indent=19)
    click.echo(f"  {style(mark, colour, sys.stdout)} {finding.step:<14} {told}")
    for note in finding.notes:
        show_note(note)
    if finding.ok is not False:
        return
    if finding.cause:
        click.echo(f"    {_folded(finding.cause, 4)}")
    who = f"{finding.who}: " if finding.who not in ("", "nobody") else ""
    click.echo(f"    → {_folded(who + finding.fix, 6)}")
    for each in finding.commands:
        _show_command(each)


def show_note(text: str) -> None:
    """What somebody should know although nothing failed."""
    click.echo(f"    {style('!', 'warning', sys.stdout)} {_folded(text, 6)}")


def _folded(text: str, taken: int) -> str:
    return folded(printable(text), sys.stdout, taken=taken, indent=taken)


def _show_command(each: Command) -> None:
    where = f" ({each.where})" if each.where else ""
    click.echo(f"      {_folded(each.does + where, 6)}")
    click.echo(f"        {style(printable(each.line), 'bold', sys.stdout)}")
    for how in each.unknown:
        click.echo(f"        {_folded(how, 8)}")


def as_json(finding: Finding) -> dict[str, Any]:
    """A finding for programs; what is empty is left out."""
    told: dict[str, Any] = {
        "step": str(finding.step),
        "ok": finding.ok,
        "text": finding.text,
        "server": finding.server,
        "cause": finding.cause,
        "fix": finding.fix,
        "who": finding.who,
        "failure": finding.failure,
        "notes": list(finding.notes),
        "commands": [
            {"line": each.line, "does": each.does, "where": each.where, "unknown": list(each.unknown)}
            for each in finding.commands
        ],
        "details": dict(finding.details),
    }
    always = ("step", "ok", "text")
    return {name: value for name, value in told.items() if value or name in always}


def show_explanation(each: Explanation, *, several: bool) -> None:
    """What a text from a log means."""
    verdict = each.verdict
    title = f"At {each.title}: " if each.title and several else ""
    guess = " (By its code alone.)" if each.guess else ""
    click.echo(_folded(f"{title}{verdict.cause}{guess}", 0))
    who = f"{verdict.who}: " if verdict.who != "nobody" else ""
    if verdict.remedy:
        click.echo(f"  → {_folded(who + verdict.remedy, 4)}")
    click.echo(f"  {_THEN[str(verdict.disposition)]}")


def explanation_as_json(each: Explanation) -> dict[str, Any]:
    """What a text from a log means, for programs."""
    names = ("state", "scope", "disposition", "cause", "remedy", "who", "rule")
    told = {name: str(getattr(each.verdict, name)) for name in names}
    return {"provider": each.title, **told, "wait": each.verdict.wait}
