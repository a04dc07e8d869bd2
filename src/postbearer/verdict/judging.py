"""From a reply or an error to its meaning."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence

from postbearer.answer import HttpAnswer, ProviderAnswer
from postbearer.errors import ConfigError, GrantRefused, PostbearerError, UsageError
from postbearer.meaning import Disposition, ImmediateAction, Scope, Verdict
from postbearer.outcome import Outcome
from postbearer.providers import Phase, Rule, generic_rules
from postbearer.reply import Reply, printable
from postbearer.verdict.failure import judge_error
from postbearer.verdict.http_answer import judge_http
from postbearer.verdict.match import Subject, best
from postbearer.verdict.reply_text import plain_text
from postbearer.verdict.verdict import by_rule, of, scope_of
from postbearer.verdict.wording import worded

_AUTH_CODES = frozenset({530, 534, 535, 538})


def judge(
    what: ProviderAnswer | PostbearerError,
    phase: Phase | str = Phase.ANY,
    rules: Sequence[Rule] | None = None,
) -> Verdict:
    """What `what` means that came in `phase`, by `rules` (a preset's; the generic ones by default).

    An error that was judged already keeps its meaning, wherever it is caught.
    A connection lost in phase ``eod``, which begins when the content is complete, leaves the outcome
    unknown (RFC 1047); one lost while the content still goes out belongs to phase ``data``.
    """
    known = generic_rules() if rules is None else rules
    if isinstance(what, Reply):
        return worded(judge_reply(what, Phase(phase), known), known, what.text)
    if isinstance(what, HttpAnswer):
        return worded(judge_http(what, known), known, what.text)
    if what.verdict is not None and phase == Phase.ANY:
        return what.verdict
    said = getattr(what, "reply", None)
    verdict = judge_error(what, Phase(phase), known, judge_reply)
    placed = isinstance(what, ConfigError | UsageError)  # it names what is wrong
    return worded(verdict, known, said.text if said is not None else "", examine=not placed)


def judged(
    recipient: str,
    what: ProviderAnswer | PostbearerError,
    phase: Phase | str = Phase.ANY,
    rules: Sequence[Rule] | None = None,
    *,
    verdict: Verdict | None = None,
) -> Outcome:
    """What became of `recipient`, by what `what` means: by `verdict`, if that was judged already."""
    verdict = verdict or judge(what, phase, rules)
    answer, error = (None, what) if isinstance(what, PostbearerError) else (what, None)
    known = "" if phase == Phase.ANY else phase
    return Outcome(recipient, verdict.state, answer, error, verdict=verdict, phase=known)


def advise(error: PostbearerError, rules: Sequence[Rule] | None = None) -> None:
    """Tell `error` what the catalogue knows of it: its verdict, the remedy as the hint, whose fault it is."""
    verdict = error.verdict = judge(error, Phase.ANY, rules)
    error.hint = verdict.remedy or error.hint
    if isinstance(error, GrantRefused):
        error.configuration = verdict.configuration


def judge_reply(reply: Reply, phase: Phase, rules: Sequence[Rule]) -> Verdict:
    if reply.positive:
        return of(Disposition.DONE, scope_of(phase), "The server took it.")
    text = _challenge(reply) if reply.code == 334 else plain_text(reply.lines)
    rule = best(Subject(phase, text, code=reply.code, enhanced=reply.enhanced), rules)
    return by_rule(rule, phase) if rule is not None else _unlisted(reply, phase)


def _challenge(reply: Reply) -> str:
    """A 334's text, decoded: an error challenge is known by being a JSON object (RFC 7628 3.2.2)."""
    try:
        return printable(b64decode(reply.lines[0], validate=True)).strip()
    except (NotBase64, ValueError):
        return ""


def _unlisted(reply: Reply, phase: Phase) -> Verdict:
    """What a reply means that no rule knows: its class decides, and what it answered."""
    if reply.closing:
        return of(
            Disposition.SOON,
            Scope.HOST,
            "The server closes the connection.",
            "",
            ImmediateAction.RECONNECT,
            ImmediateAction.CUT,
        )
    if reply.transient:
        return of(Disposition.SOON, scope_of(phase), "The server refuses for now.")
    if not reply.permanent:
        return of(Disposition.DONE, scope_of(phase), "The server waits for more.")
    if phase is Phase.AUTH or (phase is Phase.ANY and reply.code in _AUTH_CODES):
        return of(
            Disposition.HOLD,
            Scope.ACCOUNT,
            "The server refuses to authenticate this account.",
            "Read the server's words; check user name, grant and permissions.",
        )
    if phase in (Phase.CONN, Phase.EHLO, Phase.TLS):
        return of(
            Disposition.HOLD,
            Scope.HOST,
            "The server does not want to talk to this host.",
            "Read the server's words; check host, port and EHLO name.",
        )
    return of(
        Disposition.PERMANENT,
        scope_of(phase),
        "The server refuses for good.",
        "Read the server's words and correct it.",
    )
