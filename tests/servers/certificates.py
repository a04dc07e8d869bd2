"""A certificate authority of the tests' own, and the certificate of the mail servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """A client trusts `ca_file`; `server_file` holds key and chain; `ca` issues further certificates."""

    ca: trustme.CA
    ca_file: Path
    server_file: Path


def issue(folder: Path) -> Certificates:
    """Write the files into a folder."""
    ca = trustme.CA()
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    server = ca.issue_cert("localhost", "127.0.0.1", "mail.example.org")
    server.private_key_and_cert_chain_pem.write_to_path(str(server_file))
    server_file.chmod(0o600)
    return Certificates(ca, ca_file, server_file)
