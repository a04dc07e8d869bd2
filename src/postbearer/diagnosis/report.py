"""What a whole diagnosis found, for a program to look at or print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Self

from postbearer.diagnosis.examination import Diagnosis
from postbearer.diagnosis.finding import Finding


@dataclass(frozen=True, slots=True)
class DiagnosisReport:
    """The findings about one account, in the order of the steps; printed, one line each with its cure."""

    account: str
    findings: tuple[Finding, ...]

    @classmethod
    async def of(cls, diagnosis: Diagnosis) -> Self:
        """What `diagnosis` finds when it is run."""
        async with aclosing(diagnosis.run()) as found:
            return cls(diagnosis.account.name, tuple([finding async for finding in found]))

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What failed, in the order of the steps: the first is mostly the cause of the others."""
        return tuple(finding for finding in self.findings if finding.ok is False)

    def __str__(self) -> str:
        return "\n".join([self.account, *(line for finding in self.findings for line in _lines(finding))])


def _lines(finding: Finding) -> Iterator[str]:
    mark = {True: "ok", False: "FAILED", None: "-"}[finding.ok]
    yield f"  {mark:6} {finding.step}: {finding.text}"
    for label, text in (("cause", finding.cause), ("fix", finding.fix)):
        if text:
            yield f"         {label}: {text}"
