"""The keys of an account: type, default and meaning of each, declared here and nowhere else.

The types carry a *kind* where a plain type says too little: a duration, a size, a secret reference, a mail
address. The configuration, its JSON Schema and the options of a program are all made of this.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Struct

from postbearer.settings.constraints import (
    AccountName,
    AddressText,
    Day,
    DkimSelector,
    GrantText,
    HostName,
    HostPort,
    Prose,
    Reference,
    Seconds,
    TimeSpan,
    Url,
)
from postbearer.settings.limits import Limits
from postbearer.wire import Dispensable

# What some keys may be: whoever holds such a value takes its type from here.
Authentication = Literal["oauth", "password", "certificate", "none"]
ClientAuthentication = Literal["basic", "post", "private-key-jwt", "none"]
AssertionAlgorithm = Literal["RS256", "PS256", "ES256"]
TlsMode = Literal["implicit", "starttls", "none-loopback"]
Mechanism = Literal["auto", "xoauth2", "oauthbearer"]
SenderPolicy = Literal["force", "check", "allow"]
FallbackWhen = Literal["paused", "unreachable"]
OnUnknown = Literal["retry", "hold"]


class AccountSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One mailbox that mail leaves from."""

    provider: Annotated[str, Prose('Preset of a mail provider, or "smtp" for any other server.')]
    address: Annotated[AddressText, Prose("SMTP user name, token user and default sender.")]
    username: Annotated[str | None, Prose("SMTP login, if it is not the address.")] = None
    token_user: Annotated[str | None, Prose("Who consents or is asked for, if not the address.")] = None

    # How a token is had.
    authentication: Annotated[Authentication, Prose("How the account proves who it is.")] = "oauth"
    grant: Annotated[GrantText | None, Prose("How an access token is obtained.")] = None
    grant_settings: Annotated[dict[str, Any], Prose("Settings of a grant that another package brings.")] = {}
    tenant: Annotated[str | None, Prose("Microsoft tenant: domain or id.")] = None
    cloud: Annotated[
        str | None, Prose("Which of the provider's separate installations, if it is not the first.")
    ] = None
    client_id: Annotated[str | None, Prose("Id of the registered application.")] = None
    client_secret: Annotated[Reference | None, Prose("Secret of the registered application.")] = None
    client_authentication: Annotated[
        ClientAuthentication | None,
        Prose("How the application proves itself at the token endpoint."),
    ] = None
    certificate: Annotated[Reference | None, Prose("Certificate of the client: PEM, or PKCS#12.")] = None
    private_key: Annotated[Reference | None, Prose("Key that signs assertions (PEM).")] = None
    key_password: Annotated[Reference | None, Prose("Opens a locked key or PKCS#12.")] = None
    assertion_algorithm: Annotated[
        AssertionAlgorithm | None, Prose("How assertions are signed; else the key decides.")
    ] = None
    assertion_audience: Annotated[
        str | None, Prose("Whom signed assertions are for; else the token endpoint.")
    ] = None
    key_id: Annotated[str | None, Prose("Key id (`kid`) named in signed assertions.")] = None
    password: Annotated[Reference | None, Prose("Password, for the grant or the login of that name.")] = None
    refresh_token: Annotated[Reference | None, Prose("Refresh token obtained elsewhere.")] = None
    service_account: Annotated[Reference | None, Prose("Service account key file (JSON).")] = None
    token: Annotated[Reference | None, Prose("Fixed access token: tests and troubleshooting only.")] = None
    assertion: Annotated[Reference | None, Prose("Assertion made by another identity provider.")] = None
    command: Annotated[
        str | tuple[str, ...] | None,
        Prose("Program that prints an access token, or JSON with access_token and expires_in."),
    ] = None
    issuer: Annotated[Url | None, Prose("Issuer whose metadata names the endpoints.")] = None
    token_url: Annotated[Url | None, Prose("Token endpoint.")] = None
    authorize_url: Annotated[Url | None, Prose("Authorization endpoint.")] = None
    redirect_uri: Annotated[
        str | None, Prose("Where the browser comes back to after a sign-in, as registered.")
    ] = None
    device_url: Annotated[Url | None, Prose("Device authorization endpoint.")] = None
    revocation_url: Annotated[Url | None, Prose("Where a sign-in is ended (RFC 7009).")] = None
    scopes: Annotated[tuple[str, ...] | None, Prose("Scopes to ask for.")] = None
    audience: Annotated[str | None, Prose("Audience or resource to ask for.")] = None
    extra_token_parameters: Annotated[dict[str, str], Prose("Further fields of the token request.")] = {}
    maximum_token_lifetime: Annotated[
        Seconds | None, Prose("Longest time a token and its connection are used.")
    ] = None
    refresh_margin: Annotated[Seconds | None, Prose("Renew a token this long before it expires.")] = None

    # What ends one day, so that somebody hears of it before.
    client_secret_expires: Annotated[Day | None, Prose("Day on which the client secret ends.")] = None
    password_expires: Annotated[Day | None, Prose("Day on which the password ends.")] = None
    service_account_expires: Annotated[Day | None, Prose("Day on which its key ends.")] = None
    consent_expires: Annotated[Day | None, Prose("Day on which somebody's consent ends.")] = None
    refresh_token_idle: Annotated[
        Seconds | None, Prose("A refresh token ends when it was not used for so long.")
    ] = None
    refresh_token_lifetime: Annotated[
        Seconds | None, Prose("A sign-in ends after this time, however much it is used.")
    ] = None

    # Where mail goes.
    servers: Annotated[
        tuple[HostPort, ...] | None, Prose("Servers in order; a lower one is used when those above fail.")
    ] = None
    tls: Annotated[TlsMode | None, Prose("How the connection is protected.")] = None
    ca_file: Annotated[str | None, Prose("Certificates to trust instead of the system's (PEM).")] = None
    tls_certificate: Annotated[str | None, Prose("Certificate and key for the TLS handshake (PEM).")] = None
    proxy: Annotated[str | None, Prose("Proxy for the SMTP connection.")] = None
    mechanism: Annotated[Mechanism, Prose("SASL mechanism.")] = "auto"
    timeout: Annotated[TimeSpan | None, Prose("Overall limit for one attempt.")] = None
    ehlo_name: Annotated[HostName | None, Prose("Name said in EHLO.")] = None
    unused_extensions: Annotated[
        tuple[Dispensable, ...], Prose("Extensions that the server offers and gets wrong.")
    ] = ()

    # What leaves, and how much.
    sender: Annotated[
        SenderPolicy,
        Prose("force: everything leaves as the address. check: others are refused. allow: send-as."),
    ] = "force"
    aliases: Annotated[tuple[AddressText, ...], Prose("Further senders the mailbox may use.")] = ()
    dkim_selectors: Annotated[
        tuple[DkimSelector, ...], Prose("Selectors under which DNS has the keys that sign its mail (DKIM).")
    ] = ()
    limits: Annotated[Limits, Prose("What the account may send.")] = Limits()
    fallback: Annotated[AccountName | None, Prose("Account used while this one is paused.")] = None
    fallback_when: Annotated[
        FallbackWhen,
        Prose("paused: only then. unreachable: also while no server can be reached, or no token be had."),
    ] = "paused"
    overflow: Annotated[AccountName | None, Prose("Account used when the budget is spent.")] = None
    overflow_after: Annotated[Seconds, Prose("Wait for budget before overflow is used.")] = 300.0
    on_unknown: Annotated[OnUnknown, Prose("What to do after a connection lost past the end of content.")] = (
        "retry"
    )


DEFAULTS = AccountSettings(provider="", address="")  # what each key is where nobody says it
