"""From an error to a finding: what happened, why, what to do, and what an administrator types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbearer.account import Account
from postbearer.diagnosis.commands import commands_for
from postbearer.diagnosis.finding import Failure, Finding, Step
from postbearer.errors import (
    BudgetSpent,
    CredentialError,
    GrantRefused,
    NetworkError,
    PlugInFailed,
    PostbearerError,
    Rejected,
    SecretUnavailable,
    ServerRefused,
    StoreError,
    TokenUnavailable,
    UsageError,
    is_configuration,
)
from postbearer.oauth import PersonGrant
from postbearer.outcome import Outcome, State
from postbearer.providers import Catalogue, Ids, Phase, Preset, Rule, Who
from postbearer.verdict import Verdict, judge

_PHASES = {
    Step.DNS: Phase.CONN,
    Step.TCP: Phase.CONN,
    Step.TLS: Phase.TLS,
    Step.EHLO: Phase.EHLO,
    Step.TOKEN: Phase.TOKEN,
    Step.AUTH: Phase.AUTH,
}


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains the errors of one account."""

    account: Account
    preset: Preset
    ids: Ids

    def failed(self, step: Step, error: PostbearerError, server: str = "") -> Finding:
        """The finding of a step that ended with `error`."""
        phase = _PHASES.get(step, Phase.ANY)
        verdict = judge(error, phase, self._rules)
        cause, fix, who = verdict.cause, verdict.remedy or error.hint, verdict.who
        if isinstance(error, Rejected):  # the transport knew what each reply answered
            refused = error.receipt.refused[0]
            cause, fix = refused.cause or cause, refused.remedy or fix
        if isinstance(error, TokenUnavailable) and _is_elsewhere(error):
            cause = "The token endpoint cannot be reached, or something else answers in its place."
            usual = "Check token-url, and whether a proxy, a firewall or a portal stands in between."
            fix = error.hint or usual
            who = Who.HOST_OPERATOR
        if isinstance(self.account.grant, PersonGrant) and getattr(error, "who", "") == "mailbox user":
            # The hint is the command to sign in, and may be all that the verdict says too.
            fix = " ".join(dict.fromkeys(filter(None, (verdict.remedy, error.hint))))
        grant = self.account.grant.name if self.account.grant is not None else ""
        return Finding(
            step=step,
            ok=False,
            text=error.told,
            server=server,
            cause="" if cause == error.told else self.ids.fill(cause),
            fix=self.ids.fill(fix) or "Read the message; postbearer knows no more about it.",
            who=str(who),
            commands=commands_for(verdict, phase, self.preset, grant, self.ids),
            details=_details(error) | ({"rule": verdict.rule} if verdict.rule else {}),
            failure=_kind(error, verdict),
        )

    @property
    def _rules(self) -> Sequence[Rule] | None:
        rules = self.account.rules
        return rules.written_for(self.ids) if isinstance(rules, Catalogue) else rules


def _is_elsewhere(error: TokenUnavailable) -> bool:
    """Whether what failed lies in front of the token endpoint: waiting alone may not help."""
    return isinstance(error.__cause__, NetworkError) or error.code == "not_json"


def _kind(error: PostbearerError, verdict: Verdict) -> Failure:
    if is_configuration(error):
        return Failure.CONFIGURATION
    if isinstance(error, PlugInFailed):
        return Failure.DEFECT
    if isinstance(error, TokenUnavailable | SecretUnavailable | BudgetSpent | StoreError):
        return Failure.TRANSIENT
    if isinstance(error, UsageError):
        return Failure.CONFIGURATION
    if isinstance(error, GrantRefused):
        return Failure.CONFIGURATION if verdict.configuration else Failure.REFUSED
    if isinstance(error, CredentialError):
        return Failure.REFUSED
    if isinstance(error, ServerRefused):
        return Failure.REFUSED if error.reply is not None and error.reply.code >= 500 else Failure.TRANSIENT
    if isinstance(error, Rejected):
        return _of_outcomes(error.receipt.outcomes)
    return Failure.TRANSIENT


def _of_outcomes(outcomes: Sequence[Outcome]) -> Failure:
    if any(outcome.refuses_us for outcome in outcomes):
        return Failure.REFUSED
    if any(outcome.state is State.FAILED for outcome in outcomes):
        return Failure.UNDELIVERABLE
    return Failure.TRANSIENT


def _details(error: PostbearerError) -> dict[str, object]:
    told = {name: getattr(error, name, None) for name in ("code", "stage", "retry_after", "offered")}
    reply = getattr(error, "reply", None)
    if reply is not None:
        told["reply"] = str(reply)
    return {name: value for name, value in told.items() if value}
