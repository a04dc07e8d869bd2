"""What a terminal gets that does not have our signs: others that say the same."""

from __future__ import annotations

import codecs
import io

_HANDLER, _ASCII = "postbearer.plain", "postbearer_ascii"
_PLAIN = {
    "✓": "ok",
    "✗": "no",
    "→": "->",
    "…": "...",
    "–": "-",
    "·": "-",
    "█": "#",
    "░": ".",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}


def show_what_can_be_shown(stream: object) -> None:
    """Let `stream` take any text, whatever its encoding."""
    if not isinstance(stream, io.TextIOWrapper):
        return
    codecs.register_error(_HANDLER, _plain)
    encoding = stream.encoding
    if codecs.lookup(encoding).name == "ascii":  # click takes that for a mistake, and writes UTF-8
        codecs.register(_ascii)
        encoding = _ASCII
    stream.reconfigure(encoding=encoding, errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    shown = (_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in lost)
    return "".join(shown), error.end


def _ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII under another name."""
    if name != _ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        known.streamreader,
        known.streamwriter,
        known.incrementalencoder,
        known.incrementaldecoder,
        name=_ASCII,
    )
