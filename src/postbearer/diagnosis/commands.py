"""What an administrator types or opens, with the ids of the account filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from postbearer.providers import Disposition, Ids, Phase, Preset, SetupStep, Who
from postbearer.verdict import Verdict

_BLANK = re.compile(r"<([A-Za-z ]+)>")
_OWN = "postbearer "
_IN_EXCHANGE = "in Exchange Online PowerShell: (Get-ServicePrincipal -Identity <client id>).Identity"
_HOW_TO_GET = {  # what no configuration holds → where it stands
    "object id of the Enterprise application": "entra.microsoft.com, Enterprise applications (not App "
    "registrations), the app, Object ID; or in PowerShell: "
    "(Get-MgServicePrincipal -Filter \"appId eq '<client id>'\").Id",
    "service principal id": _IN_EXCHANGE,
    "service principal": _IN_EXCHANGE,
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, what it does, and where it is typed. `unknown`: how to get what is still in <>."""

    line: str
    does: str = ""
    where: str = ""
    unknown: tuple[str, ...] = ()


def commands_for(verdict: Verdict, phase: Phase, preset: Preset, grant: str, ids: Ids) -> tuple[Command, ...]:
    """The commands that may cure `verdict`: those it names, else those the grant's set-up needs."""
    steps = [step for step in _steps(preset, grant) if not step.command.startswith(_OWN)]
    chosen = [step for step in steps if step.command.split()[0] in verdict.remedy]
    by_admin = verdict.who is Who.TENANT_ADMIN and verdict.disposition is Disposition.HOLD
    if not chosen and by_admin and phase is Phase.TOKEN and "consent" in verdict.remedy.lower():
        chosen = [step for step in steps if _consents(step)]
    return tuple(_command(step, ids) for step in chosen)


def consent(preset: Preset, grant: str, ids: Ids) -> str:
    """The address at which an administrator consents to the app; empty if none is known."""
    return next((ids.fill(step.command) for step in _steps(preset, grant) if _consents(step)), "")


def consent_commands(preset: Preset, grant: str, ids: Ids) -> tuple[Command, ...]:
    """What an administrator opens to consent to the app."""
    return tuple(_command(step, ids) for step in _steps(preset, grant) if _consents(step))


def _consents(step: SetupStep) -> bool:
    return "/adminconsent" in step.command


def _steps(preset: Preset, grant: str) -> Iterator[SetupStep]:
    for step in preset.setup:
        if step.command and (not step.grants or grant in step.grants):
            yield step


def _command(step: SetupStep, ids: Ids) -> Command:
    line = ids.fill(step.command)
    unknown = tuple(
        f"<{blank}>: {ids.fill(_HOW_TO_GET[blank])}" for blank in _BLANK.findall(line) if blank in _HOW_TO_GET
    )
    return Command(line, step.do, step.where, unknown)
