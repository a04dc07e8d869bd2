"""A refusal that says nothing, read together with the token that was refused.

Exchange answers a bare 535 5.7.3 to a missing role, to a service principal with the wrong object id and
to a missing mailbox permission alike. What the token says of itself tells the first from the others.
"""

from __future__ import annotations

from dataclasses import replace

from postbearer.diagnosis.commands import consent_commands
from postbearer.diagnosis.finding import Finding
from postbearer.oauth import Claims
from postbearer.providers import Ids, Preset

ROLES = {"microsoft": "SMTP.SendAsApp", "microsoft-hve": "Mail.Send"}  # preset → what an app needs there
_BARE = "/auth-unsuccessful"  # the rule for a refusal without a reason


def narrowed(finding: Finding, claims: Claims | None, preset: Preset, grant: str, ids: Ids) -> Finding:
    """`finding`, a refused login, without the causes that the `claims` of the refused token rule out."""
    role = ROLES.get(preset.name)
    if claims is None or role is None or not str(finding.details.get("rule", "")).endswith(_BARE):
        return finding
    if claims.app_only and role not in claims.roles:
        return replace(
            finding,
            cause=f"The token does not have the role {role}, so that Exchange lets its app in nowhere.",
            fix=f"Add the application permission {role} of Office 365 Exchange Online to the app, and grant "
            "admin consent. Only where Exchange itself gave the app that role it must be something else.",
            commands=(*consent_commands(preset, grant, ids), *finding.commands),
        )
    if claims.app_only:
        return replace(
            finding,
            cause=f"The token itself is right and has the role {role}. So Exchange does not know its app, or "
            "by another object id than the Enterprise application's; or the app may not open this mailbox.",
            fix="Make the app known with the object id of the Enterprise application (an entry with another "
            "has to go first: Remove-ServicePrincipal), and let it into the mailbox.",
        )
    if claims.user and claims.user.casefold() != ids.address.casefold():
        return replace(
            finding,
            cause=f"The token is {claims.user}'s, who may not open the mailbox {ids.address}.",
            fix=f"Give {claims.user} FullAccess to {ids.address}, or sign in as {ids.address}.",
        )
    return finding
