"""How the sandbox behaves: like Exchange Online, like Gmail, or by the letter of RFC 7628."""

from __future__ import annotations

from dataclasses import dataclass

from postbearer.providers import Preset, preset


@dataclass(frozen=True, slots=True)
class Personality:
    """What one kind of provider offers and how it says no."""

    name: str
    mechanisms: tuple[str, ...]
    extensions: tuple[str, ...]
    size: int
    audience: str
    scopes: tuple[str, ...]
    accepted: str  # reply to AUTH that succeeded
    refused: str  # reply to AUTH that failed
    auth_line: int = 0  # octets that AUTH with its initial response may have; 0: as many as fit
    auth_line_refused: str = ""  # the reply to a longer one, before the connection is closed
    connections: int = 0  # submitting at the same time; 0: no limit
    messages_per_minute: int = 0  # 0: no limit
    own_sender_only: bool = False
    queued: str = "250 2.0.0 Ok: queued as {id}"

    @property
    def preset(self) -> Preset:
        """What is known of the provider that it stands for."""
        return preset("smtp" if self.name == "generic" else self.name)


_COMMON = ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING", "SMTPUTF8")

PERSONALITIES = {
    "microsoft": Personality(
        name="microsoft",
        mechanisms=("XOAUTH2",),
        extensions=(*_COMMON, "DSN", "BINARYMIME"),
        size=157_286_400,
        audience="https://outlook.office365.com",
        scopes=("https://outlook.office365.com/.default", "https://outlook.office.com/SMTP.Send"),
        accepted="235 2.7.0 Authentication successful",
        refused="535 5.7.3 Authentication unsuccessful [SANDBOX.example.org]",
        connections=3,
        messages_per_minute=30,
        own_sender_only=True,
        queued="250 2.0.0 OK <{id}@SANDBOX.example.org> [Hostname=SANDBOX.example.org]",
    ),
    "google": Personality(
        name="google",
        mechanisms=("XOAUTH2", "OAUTHBEARER"),
        extensions=_COMMON,
        size=35_882_577,
        audience="https://mail.google.com/",
        scopes=("https://mail.google.com/",),
        accepted="235 2.7.0 Accepted",
        refused="535-5.7.8 Username and Password not accepted.\n535 5.7.8 BadCredentials {id} - gsmtp",
        auth_line=1024,
        auth_line_refused="555 5.5.2 Syntax error, goodbye. {id} - gsmtp",
        queued="250 2.0.0 OK  {time} {id} - gsmtp",
    ),
    "generic": Personality(
        name="generic",
        mechanisms=("OAUTHBEARER", "XOAUTH2"),
        extensions=(*_COMMON, "DSN", "BINARYMIME", "REQUIRETLS", "MT-PRIORITY"),
        size=52_428_800,
        audience="smtp.send",
        scopes=("smtp.send",),
        accepted="235 2.7.0 Authentication successful",
        refused="535 5.7.8 Authentication credentials invalid",
    ),
}
