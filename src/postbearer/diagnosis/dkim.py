"""DKIM (RFC 6376): whether a key is there by which others can check what a provider has signed."""

from __future__ import annotations

import base64
import binascii

from postbearer.diagnosis.tag_list import TagError, parse_tags

_SHORTEST = 1024  # bits of a key that a receiver may take (RFC 8301 3.2)


class DkimKeyError(Exception):
    """Nobody can check a signature by this record: what is wrong with it."""


def check_dkim_key(record: str) -> tuple[str, ...]:
    """What should be known of a key record (3.6.1) that works. Raises `DkimKeyError` if it does not."""
    try:
        tags = parse_tags(record)
    except TagError as error:
        raise DkimKeyError(str(error)) from None
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        raise DkimKeyError("it is no key of DKIM (v=)")
    if "p" not in tags:
        raise DkimKeyError("it has no key (p=)")
    if "h" in tags and "sha256" not in _list(tags["h"]):
        raise DkimKeyError("it does not allow sha256 (h=), and all else is out of use (RFC 8301 3.1)")
    if "s" in tags and not {"*", "email"} & _list(tags["s"]):
        raise DkimKeyError("it is not for mail (s=)")
    key = "".join(tags["p"].split())
    if not key:
        raise DkimKeyError("the key was revoked: p= is empty")
    _check_key(tags.get("k", "rsa"), key)
    return (
        ("It is marked as a test (t=y): receivers may ignore it.",) if "y" in _list(tags.get("t", "")) else ()
    )


def _list(value: str) -> set[str]:
    return {each.strip() for each in value.split(":")}


def _check_key(kind: str, key: str) -> None:
    try:
        octets = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise DkimKeyError("the key is cut or damaged: p= is no base64") from None
    if kind == "ed25519":  # RFC 8463 4
        if len(octets) != 32:
            raise DkimKeyError("the key is cut or damaged: it is not of 32 octets")
        return
    if kind != "rsa":
        raise DkimKeyError("its kind of key is not known (k=)")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        loaded = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise DkimKeyError("the key is cut or damaged: p= holds no public key") from None
    if not isinstance(loaded, RSAPublicKey):
        raise DkimKeyError("the key is of another kind than k= says")
    if loaded.key_size < _SHORTEST:
        raise DkimKeyError(f"the key is of {loaded.key_size} bits, and receivers take none below {_SHORTEST}")
