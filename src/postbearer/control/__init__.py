"""What people do to a running relay: operations, their methods and answers, the control socket."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.control.account_answers import AccountDifference as AccountDifference
    from postbearer.control.account_answers import AccountEdited as AccountEdited
    from postbearer.control.account_answers import AccountFile as AccountFile
    from postbearer.control.account_answers import AccountSettingList as AccountSettingList
    from postbearer.control.account_answers import AccountSettingRow as AccountSettingRow
    from postbearer.control.account_editor import EditingSettings as EditingSettings
    from postbearer.control.account_finder import AccountFinder as AccountFinder
    from postbearer.control.account_settings import SharedEdits as SharedEdits
    from postbearer.control.acts import AuditRecorder as AuditRecorder
    from postbearer.control.alerts import AlertDesk as AlertDesk
    from postbearer.control.alerts import AlertStatus as AlertStatus
    from postbearer.control.alerts import OpenAlert as OpenAlert
    from postbearer.control.alerts import ToldAlert as ToldAlert
    from postbearer.control.alerts import WaitingAlert as WaitingAlert
    from postbearer.control.answers import AccountCourse as AccountCourse
    from postbearer.control.answers import AccountStatus as AccountStatus
    from postbearer.control.answers import AttemptRow as AttemptRow
    from postbearer.control.answers import AuditPage as AuditPage
    from postbearer.control.answers import AuditRow as AuditRow
    from postbearer.control.answers import AuditVerified as AuditVerified
    from postbearer.control.answers import Change as Change
    from postbearer.control.answers import ConsoleAddress as ConsoleAddress
    from postbearer.control.answers import DiagnosisResult as DiagnosisResult
    from postbearer.control.answers import EndingInfo as EndingInfo
    from postbearer.control.answers import JobInfo as JobInfo
    from postbearer.control.answers import JobList as JobList
    from postbearer.control.answers import LetGo as LetGo
    from postbearer.control.answers import LoadedConfiguration as LoadedConfiguration
    from postbearer.control.answers import Matching as Matching
    from postbearer.control.answers import MessageDetail as MessageDetail
    from postbearer.control.answers import MessageNews as MessageNews
    from postbearer.control.answers import MessageResent as MessageResent
    from postbearer.control.answers import MessageSummary as MessageSummary
    from postbearer.control.answers import NodeInfo as NodeInfo
    from postbearer.control.answers import NodeList as NodeList
    from postbearer.control.answers import Page as Page
    from postbearer.control.answers import PausedAccount as PausedAccount
    from postbearer.control.answers import PauseInfo as PauseInfo
    from postbearer.control.answers import QueueStatistics as QueueStatistics
    from postbearer.control.answers import RecipientRow as RecipientRow
    from postbearer.control.answers import RelayReloaded as RelayReloaded
    from postbearer.control.answers import RelayStopping as RelayStopping
    from postbearer.control.answers import SettingRow as SettingRow
    from postbearer.control.answers import SettingsExplained as SettingsExplained
    from postbearer.control.answers import SignInInfo as SignInInfo
    from postbearer.control.answers import StagingMode as StagingMode
    from postbearer.control.answers import Time as Time
    from postbearer.control.answers import Woken as Woken
    from postbearer.control.answers import encode as encode
    from postbearer.control.answers import known as known
    from postbearer.control.client import ControlClient as ControlClient
    from postbearer.control.configuration_draft import KEYS as KEYS
    from postbearer.control.configuration_draft import ConfigurationDraft as ConfigurationDraft
    from postbearer.control.configuration_draft import target as target
    from postbearer.control.configuration_draft import usual_name as usual_name
    from postbearer.control.job_runner import JobRunner as JobRunner
    from postbearer.control.log import LEVELS as LEVELS
    from postbearer.control.log import Level as Level
    from postbearer.control.log import LogDesk as LogDesk
    from postbearer.control.log import LogLine as LogLine
    from postbearer.control.log import LogPage as LogPage
    from postbearer.control.log import LogQuery as LogQuery
    from postbearer.control.messages import recipient_id as recipient_id
    from postbearer.control.methods import METHODS as METHODS
    from postbearer.control.methods import perform as perform
    from postbearer.control.operations import Operations as Operations
    from postbearer.control.operations import Process as Process
    from postbearer.control.principal import FROM_ELSEWHERE as FROM_ELSEWHERE
    from postbearer.control.principal import Principal as Principal
    from postbearer.control.principal import Right as Right
    from postbearer.control.principal import of_this_process as of_this_process
    from postbearer.control.resending import WayIn as WayIn
    from postbearer.control.search import SUBJECTS as SUBJECTS
    from postbearer.control.search import WORDS as WORDS
    from postbearer.control.search import SearchError as SearchError
    from postbearer.control.search import as_search as as_search
    from postbearer.control.search import parse_search as parse_search
    from postbearer.control.search import quoted as quoted
    from postbearer.control.search import with_search as with_search
    from postbearer.control.server import ControlServer as ControlServer
    from postbearer.control.sign_ins import SignIns as SignIns
    from postbearer.control.sign_ins import person_grant as person_grant
    from postbearer.control.sign_ins import with_endpoints as with_endpoints
    from postbearer.control.tokens import TokenDesk as TokenDesk
    from postbearer.control.tokens import TokenRevoked as TokenRevoked
    from postbearer.control.tokens import TokenStatus as TokenStatus
    from postbearer.control.webhooks import WebhookCalls as WebhookCalls
    from postbearer.control.webhooks import WebhookReplayed as WebhookReplayed
    from postbearer.control.webhooks import WebhookStatus as WebhookStatus
    from postbearer.control.webhooks import WebhookTested as WebhookTested

_EXPORTS = {
    "account_answers": [
        "AccountDifference",
        "AccountEdited",
        "AccountFile",
        "AccountSettingList",
        "AccountSettingRow",
    ],
    "account_editor": ["EditingSettings"],
    "account_finder": ["AccountFinder"],
    "account_settings": ["SharedEdits"],
    "acts": ["AuditRecorder"],
    "alerts": ["AlertDesk", "AlertStatus", "OpenAlert", "ToldAlert", "WaitingAlert"],
    "answers": [
        "AccountCourse",
        "AccountStatus",
        "Change",
        "ConsoleAddress",
        "DiagnosisResult",
        "EndingInfo",
        "JobInfo",
        "JobList",
        "Matching",
        "AttemptRow",
        "AuditPage",
        "AuditRow",
        "AuditVerified",
        "LoadedConfiguration",
        "NodeInfo",
        "NodeList",
        "SettingRow",
        "SettingsExplained",
        "StagingMode",
        "SignInInfo",
        "LetGo",
        "MessageDetail",
        "MessageNews",
        "MessageResent",
        "MessageSummary",
        "RecipientRow",
        "Page",
        "PauseInfo",
        "PausedAccount",
        "QueueStatistics",
        "RelayReloaded",
        "RelayStopping",
        "Time",
        "Woken",
        "encode",
        "known",
    ],
    "client": ["ControlClient"],
    "configuration_draft": ["KEYS", "ConfigurationDraft", "target", "usual_name"],
    "job_runner": ["JobRunner"],
    "log": ["LEVELS", "Level", "LogDesk", "LogLine", "LogPage", "LogQuery"],
    "messages": ["recipient_id"],
    "methods": ["METHODS", "perform"],
    "operations": ["Operations", "Process"],
    "principal": ["FROM_ELSEWHERE", "Principal", "Right", "of_this_process"],
    "resending": ["WayIn"],
    "search": ["SUBJECTS", "WORDS", "SearchError", "as_search", "parse_search", "quoted", "with_search"],
    "server": ["ControlServer"],
    "sign_ins": ["SignIns", "person_grant", "with_endpoints"],
    "tokens": ["TokenDesk", "TokenRevoked", "TokenStatus"],
    "webhooks": ["WebhookCalls", "WebhookReplayed", "WebhookStatus", "WebhookTested"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
