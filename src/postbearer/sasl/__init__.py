"""SASL mechanisms: how a credential becomes octets, and how a server reads them. No I/O."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.sasl.credential import BearerCredential as BearerCredential
    from postbearer.sasl.credential import Credential as Credential
    from postbearer.sasl.credential import ExternalCredential as ExternalCredential
    from postbearer.sasl.credential import PasswordCredential as PasswordCredential
    from postbearer.sasl.credential import check_token as check_token
    from postbearer.sasl.exchange import Challenge as Challenge
    from postbearer.sasl.exchange import ClaimedIdentity as ClaimedIdentity
    from postbearer.sasl.exchange import ClientExchange as ClientExchange
    from postbearer.sasl.exchange import ServerExchange as ServerExchange
    from postbearer.sasl.negotiation import Preference as Preference
    from postbearer.sasl.negotiation import negotiate as negotiate
    from postbearer.sasl.negotiation import others as others
    from postbearer.sasl.serve import MECHANISMS as MECHANISMS
    from postbearer.sasl.serve import refusal as refusal
    from postbearer.sasl.serve import server_exchange as server_exchange

_EXPORTS = {
    "credential": [
        "BearerCredential",
        "Credential",
        "ExternalCredential",
        "PasswordCredential",
        "check_token",
    ],
    "exchange": ["Challenge", "ClaimedIdentity", "ClientExchange", "ServerExchange"],
    "negotiation": ["Preference", "negotiate", "others"],
    "serve": ["MECHANISMS", "refusal", "server_exchange"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
