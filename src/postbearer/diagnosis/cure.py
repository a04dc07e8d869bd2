"""What a person types to revive an account that paused, as far as its reason tells."""

from __future__ import annotations

from dataclasses import replace

from postbearer.account import Account
from postbearer.diagnosis.commands import commands_for
from postbearer.providers import Phase, Preset
from postbearer.verdict import by_rule


def cures(account: Account, preset: Preset, reason: str, tenant: str = "") -> tuple[str, ...]:
    """Command lines, the most likely first; the last one always is the one that finds out more.

    `reason` is the cause that the catalogue gave when the account paused.
    """
    grant = account.grant.name if account.grant is not None else ""
    signs_in = account.grant is not None and account.grant.signs_in
    check = f"postbearer check {account.name}"
    rule = next((rule for rule in account.rules or () if rule.cause == reason), None)
    login = (f"postbearer login {account.name}",) if signs_in else ()
    if rule is None:
        return (*login, check)
    phase = Phase.AUTH if Phase.ANY in rule.phase else rule.phase[0]
    typed = commands_for(
        by_rule(rule, phase), phase, preset, grant, replace(account.ids, tenant=tenant or account.ids.tenant)
    )
    if rule.configuration or phase is not Phase.TOKEN:
        login = ()  # a new sign-in would meet the same refusal
    return (*login, *(each.line for each in typed), check)
