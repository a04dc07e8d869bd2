"""Certificates for loopback, made anew for every run."""

from __future__ import annotations

import ssl
from pathlib import Path

from postbearer.errors import UsageError


class Authority:
    """A certificate authority of its own, and what it has signed for loopback names."""

    def __init__(self, *names: str) -> None:
        try:
            import trustme
        except ImportError:
            raise UsageError(
                "The sandbox needs packages that are not installed.",
                hint="Install them with: pip install 'postbearer[sandbox]'",
            ) from None
        self._authority = trustme.CA(organization_name="postbearer sandbox")
        self._certificate = self._authority.issue_cert(*(names or ("localhost", "127.0.0.1", "::1")))

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for ``ca-file``."""
        return self._authority.cert_pem.bytes()

    def write(self, path: Path) -> Path:
        path.write_bytes(self.pem)
        return path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate.configure_cert(context)
        return context
