"""NO-CANARY: a planted secret must not occur in what was written, in any dress it could wear.

    assert_absent("ya29.CANARY", log_text)

looks for the secret in clear, reversed by JSON or URL escaping, in hex, and in base64 at each of the
three alignments it can have inside a longer encoded text.
"""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus


def dresses(canary: str) -> dict[str, str]:
    """Every form in which `canary` might be seen, by the name of the form."""
    octets = canary.encode()
    forms = {
        "clear": canary,
        "URL-encoded": quote(canary, safe=""),
        "form-encoded": quote_plus(canary),
        "JSON": json.dumps(canary)[1:-1],
        "hex": octets.hex(),
        "hex, upper case": octets.hex().upper(),
    }
    for shift in range(3):
        # Encode behind 0, 1 or 2 unknown octets and keep only characters that depend on ours alone.
        encoded = base64.b64encode(b"\0" * shift + octets).decode().rstrip("=")
        first = (shift * 8 + 5) // 6
        whole = ((shift + len(octets)) * 8) // 6
        forms[f"base64 at alignment {shift}"] = encoded[first:whole]
        forms[f"base64url at alignment {shift}"] = encoded[first:whole].translate(str.maketrans("+/", "-_"))
    return forms


def assert_absent(canary: str, *written: str | bytes) -> None:
    """Fail if `canary` is to be found in any of `written`."""
    assert len(canary) >= 8, "a canary this short proves nothing"
    for text in written:
        haystack = text.decode("latin-1") if isinstance(text, bytes) else text
        for form, dress in dresses(canary).items():
            if dress in haystack:
                at = haystack.index(dress)
                context = haystack[max(at - 80, 0) : at].replace(dress, "<canary>")
                raise AssertionError(f"the canary shows ({form}) behind: {context!r}")
