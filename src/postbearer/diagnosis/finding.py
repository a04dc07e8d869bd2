"""What one step of a diagnosis found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from postbearer.diagnosis.commands import Command
from postbearer.errors import ConfigError, PostbearerError, SecretError


class Step(StrEnum):
    """The steps, in their order."""

    CONFIGURATION = "configuration"
    DATABASE = "database"  # of the queue, where relays share one
    SECRET = "secret"  # noqa: S105 - the name of a step
    DNS = "DNS"
    TCP = "TCP"
    TLS = "TLS"
    EHLO = "EHLO"
    TOKEN = "token"  # noqa: S105 - the name of a step
    AUTH = "AUTH"
    EXPIRY = "runs out"
    DOMAIN = "domain"  # what DNS says of the sender's
    MESSAGE = "message"


class Failure(StrEnum):
    """What kind of failure it was, the gravest first."""

    DEFECT = "defect"  # of another package's grant or store
    CONFIGURATION = "configuration"  # what is set here, or asked for, is wrong
    REFUSED = "refused"  # the other side does not want us
    UNDELIVERABLE = "undeliverable"  # the recipient or the content is refused for good
    TRANSIENT = "transient"  # trying again may be enough
    UNTRUSTED = "untrusted"  # mail leaves, and others may take it for forged


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one step found. ``ok`` is None if the step was not done; then `text` says why.

    `cause`, `fix`, `who` (can do it) and `commands` (do it) are for a step that failed; `notes` are for
    what works and should be looked at all the same. Nothing in it is a secret.
    """

    step: Step
    ok: bool | None
    text: str
    server: str = ""  # host:port, of the steps that each server has
    cause: str = ""
    fix: str = ""
    who: str = ""
    commands: tuple[Command, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None


def not_done(step: Step, why: str, server: str = "") -> Finding:
    """The finding of a step that was left out."""
    return Finding(step=step, ok=None, text=f"not done: {why}", server=server)


def not_configured(error: PostbearerError) -> tuple[Finding, ...]:
    """The findings when an account, or everything, cannot be made of the configuration."""
    failed = Step.SECRET if isinstance(error, SecretError) else Step.CONFIGURATION
    problems = tuple(
        Finding(
            step=failed,
            ok=False,
            text=problem.told,
            cause="The configuration is wrong.",
            fix=problem.hint or "Correct it; postbearer config validate shows where.",
            who="host operator",
            failure=Failure.CONFIGURATION,
        )
        for problem in (error.problems if isinstance(error, ConfigError) else (error,))
    )
    elsewhere = (
        Step.DATABASE,
        Step.EXPIRY,
        Step.DOMAIN,
    )  # not the account's; or none without it
    steps = [step for step in Step if step not in elsewhere]
    rest = steps[steps.index(failed) + 1 :]
    return (*problems, *(not_done(step, "the configuration is wrong") for step in rest))


def worst(findings: Iterable[Finding]) -> Failure | None:
    """The gravest failure among `findings`; None if nothing failed."""
    kinds = {finding.failure for finding in findings if finding.ok is False}
    return next((kind for kind in Failure if kind in kinds), None)
