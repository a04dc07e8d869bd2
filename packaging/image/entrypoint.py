#!/usr/bin/python3
"""What the image starts: `postbearer` with the arguments given, by default `serve`.

Without a configuration the first start writes one on the volume, which serves the console, so that a browser
is all that is needed to connect a mailbox. A volume that this user cannot write is refused with what helps.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DATA = Path("/data")
OWN = DATA / "postbearer.toml"
MOUNTED = Path("/etc/postbearer/postbearer.toml")
CERTIFICATE = DATA / "self-signed.pem"
PROGRAM = "/usr/bin/postbearer"
CONFIGURATION = 78  # sysexits.h: EX_CONFIG
LIFE, RENEWAL = timedelta(days=397), timedelta(days=30)
FIRST = f"""\
# Written by the first start of the container, which found no configuration. Mount one of your own at
# {MOUNTED}, or change this one and run: docker exec NAME postbearer reload

[relay]
# From the container's network too, by STARTTLS; until clients are named under [[relay.clients]], only
# programs in the container may send.
listeners = [{{ address = "0.0.0.0:2525", tls = "starttls", certificate = "{CERTIFICATE}" }}]

[http]
listen         = ["0.0.0.0:2580"]
health-listen  = ["0.0.0.0:2581"]  # /healthz and /readyz, for probes
certificate    = "{CERTIFICATE}"   # self-signed: put one that browsers know in its place
allowed-hosts  = ["localhost"]     # names that browsers ask by
one-time-codes = "anywhere"        # docker exec NAME postbearer console makes another
accounts       = "editable"        # mailboxes are connected in the console
"""


def main(arguments: list[str]) -> None:
    """Never returns."""
    arguments = arguments or ["serve"]
    if arguments[0] == "serve" and DATA in Path(os.environ.get("POSTBEARER_STATE", "/")).parents:
        refuse_volume()
    if arguments[0] == "serve" and configuration() is None:
        OWN.write_text(FIRST)
        OWN.chmod(0o600)
        tell(f"There was no configuration: {OWN} is the first one.")
    found = configuration()
    if arguments[0] == "serve" and found and names_certificate(Path(found)):
        renew()
    if found == str(OWN):
        os.environ["POSTBEARER_CONFIG"] = found
    os.execv(PROGRAM, [PROGRAM, *arguments])


def configuration() -> str | None:
    """The file that is there: what the environment names, what is mounted, or what lies on the volume."""
    named = os.environ.get("POSTBEARER_CONFIG")
    return named or next((str(each) for each in (MOUNTED, OWN) if each.exists()), None)


def names_certificate(file: Path) -> bool:
    """Whether the configuration wants the one that is made here. What else may be wrong, the relay says."""
    try:
        return str(CERTIFICATE) in file.read_text()
    except (OSError, UnicodeDecodeError):
        return False


def refuse_volume() -> None:
    """End where nothing can be kept in /data. What kind of disk it is on, the relay itself looks at."""
    user, group = os.geteuid(), os.getegid()
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    if str(DATA) not in mounted:
        end(
            f"There is no volume at {DATA}: a queue in the container would be lost with it.",
            f"Give it one: docker run --volume postbearer:{DATA} …",
        )
    if os.statvfs(DATA).f_flag & os.ST_RDONLY:
        end(f"{DATA} is mounted read-only: there is no place for a queue.", "Mount it without :ro.")
    if not os.access(DATA, os.W_OK | os.X_OK):
        held = DATA.stat()
        end(
            f"{DATA} belongs to user {held.st_uid}, mode {held.st_mode & 0o7777:o}, and this is user {user}.",
            f"On the host: chown -R {user}:{group} FOLDER; or run as its owner: docker run --user UID:GID …; "
            "in Kubernetes: securityContext.fsGroup.",
        )


def renew() -> None:
    """Make a certificate for this machine alone, unless there is one that is good for a while."""
    with contextlib.suppress(OSError, ValueError):
        known = x509.load_pem_x509_certificate(CERTIFICATE.read_bytes())
        if known.not_valid_after_utc - datetime.now(UTC) > RENEWAL:
            return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postbearer")])
    hosts = [x509.DNSName(each) for each in dict.fromkeys(("localhost", socket.gethostname()))]
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", "::1")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([*hosts, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    fresh = CERTIFICATE.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(made.public_bytes(encoding) + private)
    fresh.replace(CERTIFICATE)
    tell(f"{CERTIFICATE} is signed by itself: sha256 {made.fingerprint(hashes.SHA256()).hex(':')}")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def end(problem: str, hint: str) -> None:
    """Say what is wrong as the commands do."""
    tell(f"error: {problem}\n  → {hint}")
    sys.exit(CONFIGURATION)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        end(f"{error.filename or DATA}: {error.strerror}.", "Look at the volume, and at its owner.")
