"""Tokens: the grants that get them, and the source that keeps one fresh for everybody."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.oauth.assertions import JwtBearer as JwtBearer
    from postbearer.oauth.assertions import WorkloadIdentity as WorkloadIdentity
    from postbearer.oauth.blocking import TokenSource as TokenSource
    from postbearer.oauth.blocking import invalidate_blocking as invalidate_blocking
    from postbearer.oauth.blocking import token_blocking as token_blocking
    from postbearer.oauth.builtin import grant_class as grant_class
    from postbearer.oauth.builtin import grant_names as grant_names
    from postbearer.oauth.claims import Claims as Claims
    from postbearer.oauth.claims import is_guid as is_guid
    from postbearer.oauth.claims import read_claims as read_claims
    from postbearer.oauth.code import AuthorizationCode as AuthorizationCode
    from postbearer.oauth.code import CodeSignIn as CodeSignIn
    from postbearer.oauth.device import DeviceCode as DeviceCode
    from postbearer.oauth.device import DeviceSignIn as DeviceSignIn
    from postbearer.oauth.device import Invitation as Invitation
    from postbearer.oauth.discovery import Metadata as Metadata
    from postbearer.oauth.discovery import discover as discover
    from postbearer.oauth.discovery import located as located
    from postbearer.oauth.endpoint import Endpoint as Endpoint
    from postbearer.oauth.endpoint import TokenRequest as TokenRequest
    from postbearer.oauth.endpoint import read_answer as read_answer
    from postbearer.oauth.grants import Authentication as Authentication
    from postbearer.oauth.grants import ClientCredentials as ClientCredentials
    from postbearer.oauth.grants import CommandToken as CommandToken
    from postbearer.oauth.grants import Exchange as Exchange
    from postbearer.oauth.grants import Grant as Grant
    from postbearer.oauth.grants import GrantContext as GrantContext
    from postbearer.oauth.grants import Password as Password
    from postbearer.oauth.grants import RefreshToken as RefreshToken
    from postbearer.oauth.grants import StaticToken as StaticToken
    from postbearer.oauth.grants import TokenGrant as TokenGrant
    from postbearer.oauth.grants import exchange as exchange
    from postbearer.oauth.inputs import SecretInput as SecretInput
    from postbearer.oauth.inputs import read_secret as read_secret
    from postbearer.oauth.inputs import resolved as resolved
    from postbearer.oauth.machine import GoogleMachine as GoogleMachine
    from postbearer.oauth.managed import METADATA_SERVICE as METADATA_SERVICE
    from postbearer.oauth.managed import ManagedIdentity as ManagedIdentity
    from postbearer.oauth.person import PersonGrant as PersonGrant
    from postbearer.oauth.person import found as found
    from postbearer.oauth.plugins import plugged_grant as plugged_grant
    from postbearer.oauth.plugins import plugged_grants as plugged_grants
    from postbearer.oauth.redirect import WRONG_STATE as WRONG_STATE
    from postbearer.oauth.redirect import RedirectReader as RedirectReader
    from postbearer.oauth.redirect import loopback_port as loopback_port
    from postbearer.oauth.redirect import with_port as with_port
    from postbearer.oauth.refusal import SparingPassword as SparingPassword
    from postbearer.oauth.revocation import end_sign_in as end_sign_in
    from postbearer.oauth.revocation import revoke as revoke
    from postbearer.oauth.scopes import missing_scopes as missing_scopes
    from postbearer.oauth.signing import ClientKey as ClientKey
    from postbearer.oauth.signing import certificate_ends as certificate_ends
    from postbearer.oauth.signing import key_trouble as key_trouble
    from postbearer.oauth.source import CachedSource as CachedSource
    from postbearer.oauth.store import GrantStore as GrantStore
    from postbearer.oauth.store import MemoryStore as MemoryStore
    from postbearer.oauth.store import StoredGrant as StoredGrant
    from postbearer.oauth.store import binding as binding
    from postbearer.oauth.store import digest as digest
    from postbearer.oauth.store import keep_sign_in as keep_sign_in
    from postbearer.oauth.store import signing_in_already as signing_in_already
    from postbearer.oauth.token import Token as Token
    from postbearer.oauth.token import TokenAnswer as TokenAnswer
    from postbearer.oauth.token import TokenResponse as TokenResponse

_EXPORTS = {
    "assertions": ["JwtBearer", "WorkloadIdentity"],
    "blocking": ["TokenSource", "invalidate_blocking", "token_blocking"],
    "builtin": ["grant_class", "grant_names"],
    "claims": ["Claims", "is_guid", "read_claims"],
    "code": ["AuthorizationCode", "CodeSignIn"],
    "device": ["DeviceCode", "DeviceSignIn", "Invitation"],
    "discovery": ["Metadata", "discover", "located"],
    "endpoint": ["Endpoint", "TokenRequest", "read_answer"],
    "grants": [
        "Authentication",
        "ClientCredentials",
        "CommandToken",
        "Exchange",
        "Grant",
        "GrantContext",
        "Password",
        "RefreshToken",
        "StaticToken",
        "TokenGrant",
        "exchange",
    ],
    "inputs": ["SecretInput", "read_secret", "resolved"],
    "machine": ["GoogleMachine"],
    "managed": ["METADATA_SERVICE", "ManagedIdentity"],
    "person": ["PersonGrant", "found"],
    "plugins": ["plugged_grant", "plugged_grants"],
    "redirect": ["WRONG_STATE", "RedirectReader", "loopback_port", "with_port"],
    "refusal": ["SparingPassword"],
    "revocation": ["end_sign_in", "revoke"],
    "scopes": ["missing_scopes"],
    "signing": ["ClientKey", "certificate_ends", "key_trouble"],
    "source": ["CachedSource"],
    "store": [
        "GrantStore",
        "MemoryStore",
        "StoredGrant",
        "binding",
        "digest",
        "keep_sign_in",
        "signing_in_already",
    ],
    "token": ["Token", "TokenAnswer", "TokenResponse"],
}

GRANTS = {  # those that an account may have, by the name it calls them by
    "client-credentials": "ClientCredentials",
    "password": "Password",
    "authorization-code": "AuthorizationCode",
    "device-code": "DeviceCode",
    "refresh-token": "RefreshToken",
    "jwt-bearer": "JwtBearer",
    "managed-identity": "ManagedIdentity",
    "workload-identity": "WorkloadIdentity",
    "static": "StaticToken",
    "command": "CommandToken",
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
