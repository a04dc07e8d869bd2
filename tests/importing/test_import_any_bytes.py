"""Whatever a file holds, an importer ends with a configuration or with an error of ours."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbearer.errors import ConfigError
from postbearer.importing import (
    ImportedConfiguration,
    finish,
    read_dsconfig,
    read_emailproxy,
    read_environment,
    read_msmtp,
    read_portal,
    read_saslxoauth2,
    read_smtp2graph,
)

Reading = Callable[[bytes, ImportedConfiguration], None]
SAMPLES = Path(__file__).parent / "samples"


def graph(content: bytes, draft: ImportedConfiguration) -> None:
    read_smtp2graph(content, draft, hash_password=lambda password: "")


def container(content: bytes, draft: ImportedConfiguration) -> None:
    read_environment(content, draft, hash_password=lambda password: "", address="a@example.org")


def plug_in(content: bytes, draft: ImportedConfiguration) -> None:
    read_saslxoauth2(content, draft, passwords=content, address="a@example.org")


SOURCES: dict[str, tuple[Reading, str]] = {
    "dsconfig": (read_dsconfig, (SAMPLES / "directory.dsconfig").read_text()),
    "properties": (read_portal, (SAMPLES / "portal.properties").read_text()),
    "msmtp": (
        read_msmtp,
        "defaults\ntls on\naccount a\nhost mail.example.org\nport 587\nauth xoauth2\nfrom a@example.org\n"
        "passwordeval b\naccount default : a\nauth plain\npassword c\neval d\ndomain %H\n",
    ),
    "emailproxy": (
        read_emailproxy,
        "[SMTP-1587]\nserver_address = smtp.gmail.com\nserver_port = 587\nserver_starttls = True\n"
        "[a@example.org]\ntoken_url = https://oauth2.googleapis.com/token\noauth2_flow = client_credentials\n"
        "client_id = a\nclient_secret = b\noauth2_scope = c\n[@]\npermission_url = *** d ***\n",
    ),
    "sasl-xoauth2": (
        plug_in,
        '{ "client_id" : "a" , "client_secret" : "b" , "refresh_window" : 5 , "proxy" : null }\n'
        "[a.example.org]:587 b@example.org:/c\n",
    ),
    "env": (
        container,
        "RELAYHOST=[smtp.gmail.com]:587\nRELAYHOST_USERNAME= a@example.org\nXOAUTH2_CLIENT_ID='b'\n"
        "XOAUTH2_SECRET_FILE=/c\nSMTPD_SASL_USERS=d:e,f:g\nSMTP_MAX_MESSAGE_BYTES=5\nPORT= :25\n",
    ),
    "smtp2graph": (
        graph,
        "send:\n  appReg:\n    id: a\n    secret: b\n    tenant: c\n  forceMailbox: a@example.org\nreceive:\n"
        "  port: 25\n  maxSize: 5m\n  ipWhitelist: [ 127.0.0.1 ]\n  users:\n    - username: &a b\n"
        "      password: *a\n",
    ),
}
ODD = (
    "\n",
    '"',
    "'",
    "\\",
    "#",
    "=",
    ":",
    "\x00",
    "\x1b[2J",
    "é",
    "\u2028",
    "[relay]\n",
    "\ud7ff",
    "{",
    "- ",
)


def mutated(sample: str) -> st.SearchStrategy[bytes]:
    """The sample with words of it in other places, some twice, some gone, and odd ones between them."""
    words = re.findall(r"\S+|\s+", sample)
    changes = st.lists(
        st.tuples(st.integers(0, len(words)), st.integers(0, 3), st.sampled_from((*words, *ODD))), max_size=6
    )

    def apply(changes: list[tuple[int, int, str]]) -> bytes:
        changed = list(words)
        for at, length, word in changes:
            changed[at : at + length] = [word]
        return "".join(changed).encode()

    return changes.map(apply)


@pytest.mark.parametrize("program", list(SOURCES))
def test_any_file(program: str) -> None:
    read, sample = SOURCES[program]

    @given(st.one_of(st.binary(max_size=80), mutated(sample)))
    def holds(content: bytes) -> None:
        draft = ImportedConfiguration("source", program)
        with contextlib.suppress(ConfigError):
            read(content, draft)
            imported = finish(draft)
            assert set(tomllib.loads(imported.text)["accounts"]) == set(imported.accounts)
            assert all(char.isprintable() or char == "\n" for char in imported.text)

    holds()
