"""What an error means: what happened instead of a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from postbearer import errors
from postbearer.errors import PostbearerError
from postbearer.outcome import State
from postbearer.providers import Disposition, ImmediateAction, Phase, Rule, Scope, Who
from postbearer.reply import Reply
from postbearer.verdict.match import Subject, best
from postbearer.verdict.token import judge_token_error, numbers_in
from postbearer.verdict.verdict import Verdict, by_rule, of, scope_of

JudgeReply = Callable[[Reply, Phase, Sequence[Rule]], Verdict]

# The nearest class in the error's ancestry names the finding.
FINDINGS: dict[type[PostbearerError], str] = {
    errors.ConnectFailed: "connect-failed",
    errors.TlsFailed: "tls-failed",
    errors.TimedOut: "timed-out",
    errors.Disconnected: "disconnected",
    errors.ServerRefused: "turned-away",
    errors.RemoteProtocolError: "protocol-broken",
    errors.LocalProtocolError: "unsafe-input",
    errors.MechanismMissing: "mechanism-missing",
    errors.TokenUnavailable: "token-unavailable",
    errors.GrantRefused: "grant-refused",
    errors.CredentialRefused: "credential-refused",
    errors.PlugInFailed: "plug-in-failed",
    errors.SecretError: "secret-unreadable",
    errors.SecretUnavailable: "secret-unavailable",
    errors.ConfigError: "configuration",
    errors.UsageError: "usage",
    errors.BudgetSpent: "budget-spent",
    errors.StoreFull: "store-full",
    errors.SchemaMismatch: "schema-mismatch",
    errors.StoreError: "store",
}
# What is wrong on this side: no class of mistakes tells what is, so its own words do.
LOCAL = (
    errors.ConfigError,
    errors.UsageError,
    errors.SecretError,
    errors.PlugInFailed,
    errors.LocalProtocolError,
    errors.StoreError,
)
# By phase: after which errors in it the message may have arrived. Of a request by HTTP nobody knows how much
# had left, but that nothing can have before there was a connection.
_MAY_HAVE_ARRIVED: dict[Phase, tuple[type[PostbearerError], ...]] = {
    Phase.EOD: (errors.NetworkError, errors.RemoteProtocolError),
    Phase.HTTP: (errors.TimedOut, errors.Disconnected, errors.RemoteProtocolError),
}


def judge_error(error: PostbearerError, phase: Phase, rules: Sequence[Rule], reply: JudgeReply) -> Verdict:
    """The meaning of `error`; `reply` judges the replies that some errors carry."""
    if isinstance(error, errors.Rejected):
        return _rejected(error, phase, rules, reply)
    if isinstance(error, errors.CredentialRefused) and error.reply is not None:
        verdict = _refused(reply(error.meant or error.reply, Phase.AUTH, rules))
        return replace(verdict, remedy=error.remedy) if error.remedy else verdict
    if isinstance(error, errors.GrantRefused):
        return _grant(error, rules)
    phase = _stage(error, phase)
    if isinstance(error, errors.ServerRefused) and error.reply is not None:
        return reply(error.reply, phase, rules)
    if isinstance(error, _MAY_HAVE_ARRIVED.get(phase, ())):
        return replace(_found("lost-after-content", error, phase, rules), state=State.UNKNOWN)
    verdict = _found(_finding(error), error, phase, rules)
    if isinstance(error, errors.TokenUnavailable | errors.SecretUnavailable) and error.retry_after:
        return replace(verdict, disposition=Disposition.WINDOW, wait=error.retry_after)
    if isinstance(error, errors.LocalProtocolError) and phase in (
        Phase.MAIL,
        Phase.RCPT,
        Phase.DATA,
        Phase.EOD,
    ):
        # The message, or this recipient, is what cannot be said; anything earlier is the account's own.
        return replace(verdict, state=State.FAILED, disposition=Disposition.PERMANENT, scope=scope_of(phase))
    return verdict


def _finding(error: PostbearerError) -> str:
    return next((FINDINGS[kind] for kind in type(error).__mro__ if kind in FINDINGS), "unexpected")


def _found(finding: str, error: PostbearerError, phase: Phase, rules: Sequence[Rule]) -> Verdict:
    rule = best(Subject(phase, error.message, finding=finding), rules)
    if rule is None:
        return of(Disposition.SOON, scope_of(phase), error.message, error.hint)
    verdict = by_rule(rule, phase)
    if isinstance(error, LOCAL):  # only it knows which, and where
        verdict = replace(verdict, cause=error.told)
    return replace(verdict, remedy=error.hint) if error.hint else verdict


def _stage(error: PostbearerError, phase: Phase) -> Phase:
    """The phase, or the error's own stage where the caller did not know better."""
    stage = getattr(error, "stage", "")
    return Phase(stage) if phase is Phase.ANY and stage in set(Phase) else phase


def _refused(verdict: Verdict) -> Verdict:
    """A credential refused twice: renewing was tried, and what reads like bad luck needs a person."""
    first = tuple(step for step in verdict.first if step is not ImmediateAction.RENEW)
    if verdict.disposition is not Disposition.HOLD:
        verdict = replace(verdict, disposition=Disposition.HOLD, state=State.DEFERRED, scope=Scope.ACCOUNT)
    return replace(verdict, first=first)


def _grant(error: errors.GrantRefused, rules: Sequence[Rule]) -> Verdict:
    """A grant that was refused is held, whatever the catalogue says about its name."""
    verdict = judge_token_error(400, error.code, error.message, numbers_in(error.message), rules)
    who = Who(error.who) if error.who in set(Who) else verdict.who
    if not verdict.rule:
        verdict = replace(verdict, cause=error.message, remedy=error.hint or verdict.remedy, who=who)
    return replace(
        verdict,
        disposition=Disposition.HOLD,
        state=State.DEFERRED,
        configuration=verdict.configuration or error.configuration,
    )


def _rejected(error: errors.Rejected, phase: Phase, rules: Sequence[Rule], reply: JudgeReply) -> Verdict:
    for outcome in error.receipt.refused:
        if outcome.verdict is not None:
            return outcome.verdict
        if outcome.reply is not None:
            return reply(outcome.reply, phase, rules)
        if outcome.error is not None:
            return judge_error(outcome.error, phase, rules, reply)
    return of(Disposition.PERMANENT, Scope.MESSAGE, error.message, error.hint)
