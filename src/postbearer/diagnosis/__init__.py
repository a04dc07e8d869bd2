"""Finding out what is wrong: the whole way of an account's mail, step by step, with causes and cures."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.diagnosis.commands import Command as Command
    from postbearer.diagnosis.cure import cures as cures
    from postbearer.diagnosis.database import examine_database as examine_database
    from postbearer.diagnosis.examination import Diagnosis as Diagnosis
    from postbearer.diagnosis.explanation import Explanation as Explanation
    from postbearer.diagnosis.explanation import explain as explain
    from postbearer.diagnosis.finding import Failure as Failure
    from postbearer.diagnosis.finding import Finding as Finding
    from postbearer.diagnosis.finding import Step as Step
    from postbearer.diagnosis.finding import not_configured as not_configured
    from postbearer.diagnosis.finding import worst as worst
    from postbearer.diagnosis.report import DiagnosisReport as DiagnosisReport
    from postbearer.diagnosis.sender_domain import KINDS as KINDS
    from postbearer.diagnosis.sender_domain import domain_in_use as domain_in_use
    from postbearer.diagnosis.sender_domain import examine_sender_domain as examine_sender_domain
    from postbearer.diagnosis.tokens import secret_doubts as secret_doubts
    from postbearer.diagnosis.tokens import secret_sources as secret_sources

_EXPORTS = {
    "commands": ["Command"],
    "cure": ["cures"],
    "database": ["examine_database"],
    "examination": ["Diagnosis"],
    "explanation": ["Explanation", "explain"],
    "finding": ["Failure", "Finding", "Step", "not_configured", "worst"],
    "report": ["DiagnosisReport"],
    "sender_domain": ["KINDS", "domain_in_use", "examine_sender_domain"],
    "tokens": ["secret_doubts", "secret_sources"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
