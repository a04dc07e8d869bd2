"""What an administrator types or opens, with the ids of the account filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from postbearer.account import Account
from postbearer.providers import Preset, Step, Who
from postbearer.verdict import Klass, Phase, Verdict

_BLANK = re.compile(r"<([A-Za-z ]+)>")
_OWN = "postbearer "
_OBJECT_ID = ("object id of the Enterprise application", "service principal id", "service principal")
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


@dataclass(frozen=True, slots=True)
class Ids:
    """What is known about an account that commands name."""

    account: str
    address: str  # of the mailbox that is logged in to
    client_id: str = ""
    tenant: str = ""
    object_id: str = ""  # of the Enterprise application, as an app-only token tells it
    sender: str = ""  # the address mail leaves as, if it is not the mailbox's own

    @classmethod
    def of(cls, account: Account, tenant: str = "") -> Self:
        """Those of `account`, in `tenant`."""
        login, sender = account.smarthost.username, account.address
        mailbox = login if "@" in login else sender
        client = str(getattr(account.grant, "client_id", ""))
        return cls(account.name, mailbox, client, tenant, sender=sender if sender != mailbox else "")

    def fill(self, text: str) -> str:
        """`text` with every <blank> filled in that is known."""
        words = self._words(own=_OWN in text)
        return _BLANK.sub(lambda blank: words.get(blank[1].lower()) or blank[0], text)

    def _words(self, *, own: bool) -> Mapping[str, str]:
        """Our own commands want the account's name; an administrator's, its address."""
        return {
            "mailbox": self.address,
            "account": self.account if own else self.address,
            "address": "" if own else self.sender,
            "mailbox or service principal": self.object_id or self.address,
            "client id": self.client_id,
            "tenant": self.tenant,
            **dict.fromkeys((name.lower() for name in _OBJECT_ID), self.object_id),
        }


def commands_for(verdict: Verdict, phase: Phase, preset: Preset, grant: str, ids: Ids) -> tuple[Command, ...]:
    """The commands that may cure `verdict`: those it names, else those the grant's set-up needs."""
    steps = [step for step in _steps(preset, grant) if not step.command.startswith(_OWN)]
    chosen = [step for step in steps if step.command.split()[0] in verdict.remedy]
    by_admin = verdict.who is Who.TENANT_ADMIN and verdict.klass is Klass.HOLD
    if not chosen and by_admin and phase is Phase.TOKEN and "consent" in verdict.remedy.lower():
        chosen = [step for step in steps if _consents(step)]
    return tuple(_command(step, ids) for step in chosen)


def consent(preset: Preset, grant: str, ids: Ids) -> str:
    """The address at which an administrator consents to the app; empty if none is known."""
    return next((ids.fill(step.command) for step in _steps(preset, grant) if _consents(step)), "")


def consent_commands(preset: Preset, grant: str, ids: Ids) -> tuple[Command, ...]:
    """What an administrator opens to consent to the app."""
    return tuple(_command(step, ids) for step in _steps(preset, grant) if _consents(step))


def _consents(step: Step) -> bool:
    return "/adminconsent" in step.command


def _steps(preset: Preset, grant: str) -> Iterator[Step]:
    for step in preset.setup:
        if step.command and (not step.grants or grant in step.grants):
            yield step


def _command(step: Step, ids: Ids) -> Command:
    line = ids.fill(step.command)
    unknown = tuple(
        f"<{blank}>: {ids.fill(_HOW_TO_GET[blank])}" for blank in _BLANK.findall(line) if blank in _HOW_TO_GET
    )
    return Command(line, step.do, step.where, unknown)
