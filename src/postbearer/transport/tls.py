"""Verified TLS, and nothing else: there is no switch that turns verification off."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from postbearer.errors import ConfigError, TlsFailed
from postbearer.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that proves who we are: PEM files; the key may be in the first one."""

    file: str
    key_file: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a verified certificate says of itself; `expires` is Unix time."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    expires: float

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Certificate:
        """From what `ssl.SSLObject.getpeercert` gives."""
        return cls(
            _common_name(fields.get("subject", ())),
            _common_name(fields.get("issuer", ())),
            tuple(name for _, name in fields.get("subjectAltName", ())),
            float(ssl.cert_time_to_seconds(fields["notAfter"])),
        )


def _common_name(name: Iterable[Iterable[tuple[str, str]]]) -> str:
    """What people call it: the common name, else the organisation, else all there is."""
    parts = {key: value for group in name for key, value in group}
    known = next((parts[key] for key in ("commonName", "organizationName") if key in parts), None)
    return known if known is not None else ", ".join(parts.values())


def tls_context(ca_file: str = "", certificate: ClientCertificate | None = None) -> ssl.SSLContext:
    """A context that verifies chain and name, TLS 1.2 or later (RFC 8314 4, RFC 9325).

    With `ca_file` only that authority is trusted, else those of the system.
    Raises `ConfigError` if a file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise _unusable(ca_file, error, "ca-file", "It must hold certificates in PEM form.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 9525 2: the subject's CN names nothing
    if certificate is not None:
        _load(context, certificate)
    return context


def _load(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    # Always given, even empty: without it OpenSSL would ask the terminal for the password of a key.
    password = certificate.password.reveal() if certificate.password is not None else ""
    try:
        context.load_cert_chain(certificate.file, certificate.key_file or None, lambda: password)
    except OSError as error:
        files = certificate.file + (f" with {certificate.key_file}" if certificate.key_file else "")
        hint = "It must hold certificate and key in PEM form, and the key must belong to the certificate."
        raise _unusable(files, error, "tls-certificate", hint) from None


def _unusable(file: str, error: OSError, key: str, hint: str) -> ConfigError:
    if isinstance(error, ssl.SSLError):  # it was read, and is not what it should be
        return ConfigError(f"{file} cannot be used: {error}.", key=key, hint=hint)
    hint = "It must exist and be readable by the user that sends mail."
    return ConfigError(f"{file} cannot be read: {error.strerror}.", key=key, hint=hint)


_CERTIFICATE_HINTS = {  # OpenSSL's X509_V_ERR_… → what to do
    9: "Check the clock of this machine.",
    10: "The server's operator must renew it; check the clock of this machine too.",
    18: "If this server is yours, name its certificate with ca-file.",
    19: "If this server is yours, name its authority with ca-file.",
    20: "If this server is yours, name its authority with ca-file.",
    21: "If this server is yours, name its authority with ca-file.",
    62: "Use the name the certificate was made for, or have one made for this name.",
    64: "Use the name the certificate was made for instead of an address.",
    **dict.fromkeys(range(79, 93), "It breaks rules of RFC 5280: its operator must have it made anew."),
}
_HANDSHAKE_HINTS = {  # OpenSSL's reason → what to do
    "UNSUPPORTED_PROTOCOL": "The server speaks only TLS versions that are no longer safe.",
    "TLSV1_ALERT_PROTOCOL_VERSION": "The server speaks only TLS versions that are no longer safe.",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "The server wants a client certificate: set tls-certificate.",
}


_PLAIN = {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}  # OpenSSL's reasons


def tls_failure(error: Exception, peer: str, name: str) -> TlsFailed:
    """What a failed handshake means: which host, why, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".") or "it does not hold"
        return TlsFailed(
            f"{peer}: the certificate was refused for {name}: {reason}.",
            host=peer,
            stage="tls",
            hint=_CERTIFICATE_HINTS.get(error.verify_code, ""),
            configuration=True,
        )
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    hint = _HANDSHAKE_HINTS.get(str(reason), "")
    said = str(reason or "the connection was closed").replace("_", " ").lower()
    plain = str(reason) in _PLAIN
    failed = TlsFailed(
        f"{peer}: no TLS: {said}.", host=peer, stage="tls", hint=hint, configuration=plain or bool(hint)
    )
    failed.plain = plain
    return failed
