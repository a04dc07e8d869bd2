"""The grammar of SMTP, named as the RFCs name it: paths, parameters, xtext, base64.

Pure functions over one line or one argument. What does not parse raises `BadSyntax`, whose text
is fit for a reply; it never repeats the input.
"""

from __future__ import annotations

import binascii
import re

from postbearer.address import Address, find_control, refuse_controls
from postbearer.errors import UsageError

CRLF = b"\r\n"

# RFC 5321 4.5.3.1.4 and .5 (with CRLF); MAIL and RCPT grow with each extension's parameters.
MAX_COMMAND_LINE = 512
MAX_PATH_COMMAND_LINE = 2048

# RFC 5321 4.1.2
ESMTP_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
ESMTP_VALUE = re.compile(r"[^\x00-\x20=\x7f-\x9f]+")  # RFC 6531 3.3 adds UTF8-non-ascii
# RFC 5321 4.2, but any octet may stand in the text: what it says is shown escaped, never obeyed.
# `[0-9]` and not `\d`: over text, `\d` and `int()` would take the digits of every script.
REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?", re.DOTALL)
# RFC 4422 3.1; underscore and hyphen occur in registered names.
SASL_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")
# RFC 5321 4.1.1.1: a domain or an address literal. Devices announce odd names; only what could
# break the line or the trace header is refused.
EHLO_NAME = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9._:\[\]-]{0,254}")
# RFC 3461 4: xchar is any character from "!" to "~" except "+" and "=".
# Hexadecimal digits are written in upper case; some write them otherwise, and nobody reads that differently.
XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*")
_NOT_XCHAR = re.compile(r"[^!-*,-<>-~]")
_HEXCHAR = re.compile(r"\+([0-9A-Fa-f]{2})")
# RFC 6533 3: EmbeddedUnicodeChar, and what may stand for itself beside it.
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")
_UTF8_ADDRESS = re.compile(r"(?:[^\x00-\x20+=\\\x7f-\x9f]|\\x\{[0-9A-Fa-f]{2,6}\})+")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]+")
# The path up to its closing bracket; inside a quoted local part ">" is an ordinary character.
_BRACKETED = re.compile(r'<((?:"(?:\\[ -~]|[^"\\])*"|[^"<>])*)>(?: +(.*)|)')
# The same without brackets, as old devices write it: no blank can stand in it then.
_BARE_PATH = re.compile(r"([^<> ]+@[^<> ]+)(?: +(.*)|)")


class BadSyntax(ValueError):
    """The line or argument does not follow the grammar. The text may go into a 501 reply."""


def command_line(line: bytes) -> tuple[str, str]:
    """Split a command line (without CRLF) into its verb, in upper case, and its argument.

    Raises `BadSyntax` for control characters and for octets that are not UTF-8. Whether non-ASCII
    text is allowed is for the command to decide (RFC 6531 3.2).
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if find_control(text):
        raise BadSyntax("Control or non-UTF-8 characters in the command")
    verb, _, argument = text.partition(" ")
    if not (verb.isascii() and verb.isalpha()):
        raise BadSyntax("Not a command")
    return verb.upper(), argument.strip(" ")


def mail_argument(argument: str, *, lenient: bool = False) -> tuple[str, str]:
    """``FROM:<reverse-path> parameters`` → (address or ``""``, text of the parameters).

    `lenient` takes an address without its brackets, too.
    """
    path, parameters = _path_argument(argument, "FROM:", lenient)
    return (_mailbox(path) if path else ""), parameters


def rcpt_argument(argument: str, *, lenient: bool = False) -> tuple[str, str]:
    """``TO:<forward-path> parameters`` → (address, text of the parameters).

    ``<Postmaster>`` without a domain is a valid forward-path (RFC 5321 4.1.1.3).
    """
    path, parameters = _path_argument(argument, "TO:", lenient)
    return (path if path.lower() == "postmaster" else _mailbox(path)), parameters


def _path_argument(argument: str, prefix: str, lenient: bool) -> tuple[str, str]:
    if argument[: len(prefix)].upper() != prefix:
        raise BadSyntax(f"{prefix}<address> is missing")
    # A space behind the colon is wrong, but common in devices and without any ambiguity.
    text = argument[len(prefix) :].lstrip(" ")
    match = _BRACKETED.fullmatch(text) or (_BARE_PATH.fullmatch(text) if lenient else None)
    if match is None:
        raise BadSyntax("The address must stand in angle brackets")
    return match[1], match[2] or ""


def _mailbox(path: str) -> str:
    if path.startswith("@"):  # RFC 5321 appendix F.2: nobody needs them, and they confuse access rules
        raise BadSyntax("Source routes are not accepted")
    try:
        Address.parse(path)
    except UsageError:
        raise BadSyntax("Not a valid address") from None
    return path


def path(address: str, *, utf8: bool) -> str:
    """An address as a path in angle brackets; ``""`` is the null reverse-path.

    Raises `BadSyntax` for anything that is no mailbox, and for non-ASCII text unless `utf8`.
    """
    if address and address.lower() != "postmaster":
        _mailbox(address)
    if not (utf8 or address.isascii()):
        raise BadSyntax("A non-ASCII address needs SMTPUTF8")
    return f"<{address}>"


def announced_name(name: str, *, lenient: bool = False) -> str:
    """What a client calls itself: not believed, so not refused either (RFC 5321 4.1.4).

    `lenient` takes an empty one, too. Raises `BadSyntax`.
    """
    if not (name or lenient) or len(name) > 255 or not (name.isascii() and name.isprintable()):
        raise BadSyntax("Not a domain name or address literal")
    return name


def ehlo_name(name: str) -> str:
    """A domain or address literal, as it was given. Raises `BadSyntax`."""
    if not EHLO_NAME.fullmatch(name):
        raise BadSyntax("Not a domain name or address literal")
    return name


def xtext_encode(text: str) -> str:
    """RFC 3461 4. Raises `BadSyntax` for anything but printable ASCII."""
    if not (text.isascii() and text.isprintable()):
        raise BadSyntax("Only printable ASCII can be written as xtext")
    return _NOT_XCHAR.sub(lambda found: f"+{ord(found[0]):02X}", text)


def xtext_decode(value: str) -> str:
    """RFC 3461 4. Raises `BadSyntax` unless the result is printable ASCII."""
    if not XTEXT.fullmatch(value):
        raise BadSyntax("Not valid xtext")
    text = _HEXCHAR.sub(lambda found: chr(int(found[1], 16)), value)
    if not (text.isascii() and text.isprintable()):
        raise BadSyntax("Only printable ASCII can be written as xtext")
    return text


def original_recipient_encode(orcpt: str) -> str:
    """``type;address`` for ORCPT= (RFC 3461 4.2), seven bits also for ``utf-8`` (RFC 6533 3)."""
    kind, address = _typed_address(orcpt)
    if kind.lower() != "utf-8":
        return f"{kind};{xtext_encode(address)}"
    if "\\x{" in address or not address.isprintable():
        raise BadSyntax("Not a valid original recipient")
    return f"{kind};" + _NOT_QCHAR.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)


def original_recipient_decode(value: str) -> str:
    """The inverse of `original_recipient_encode`; the raw UTF-8 form of RFC 6533 is taken, too."""
    kind, address = _typed_address(value)
    if kind.lower() != "utf-8":
        return f"{kind};{xtext_decode(address)}"
    if not _UTF8_ADDRESS.fullmatch(address):
        raise BadSyntax("Not a valid original recipient")
    try:
        text = _EMBEDDED.sub(lambda found: chr(int(found[1], 16)), address)
        refuse_controls(text, "ORCPT")
    except ValueError:  # also above U+10FFFF
        raise BadSyntax("Not a valid original recipient") from None
    return f"{kind};{text}"


def _typed_address(text: str) -> tuple[str, str]:
    kind, semicolon, address = text.partition(";")
    if not (semicolon and address and _ADDRESS_TYPE.fullmatch(kind)):
        raise BadSyntax("An original recipient is written type;address")
    return kind, address


def base64_encode(data: bytes) -> bytes:
    """One line, padded, never wrapped (RFC 4954 4)."""
    return binascii.b2a_base64(data, newline=False)


def base64_decode(text: bytes | str) -> bytes:
    """Strict base64 (RFC 4954 4): no white space, full padding. Raises `BadSyntax`, silent on the content."""
    try:
        if len(text) % 4 == 0:  # strict_mode takes more padding than there may be
            return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error, and text that is not ASCII
        pass
    raise BadSyntax("Not valid base64")


def initial_response_encode(data: bytes) -> bytes:
    """RFC 4954 4: an empty initial response is written ``=``, to tell it from none."""
    return base64_encode(data) or b"="


def initial_response_decode(text: bytes | str) -> bytes:
    """The inverse of `initial_response_encode`. Raises `BadSyntax`."""
    return b"" if text in ("=", b"=") else base64_decode(text)
