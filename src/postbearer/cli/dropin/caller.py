"""Who calls, and the name of this machine: looked at before it is used, for it must never stop a mail."""

from __future__ import annotations

import posix

from postbearer.cli.dropin.arguments import say

_LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~."
_DOMAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MAILNAME = "/etc/mailname"


class Caller:
    """Who runs the program, and where."""

    __slots__ = ("host", "name", "user")

    def __init__(self, user: str, host: str, name: str = "") -> None:
        self.user = user
        self.host = host
        self.name = name

    @property
    def address(self) -> str:
        return f"{self.user}@{self.host}"


def caller() -> Caller:
    import pwd

    try:
        entry = pwd.getpwuid(posix.getuid())
        user, gecos = entry.pw_name, entry.pw_gecos
    except KeyError:
        user, gecos = f"uid{posix.getuid()}", ""
    name = gecos.partition(",")[0].replace("&", user.capitalize())  # as finger(1) reads it
    return Caller(local_part(user), host(mailname(), posix.uname().nodename), name)


def local_part(user: str) -> str:
    """The user as an address spells him, also one like ``DOMAIN\\user``."""
    spelled = "".join([char if char in _LOCAL else "_" for char in user])[:64].strip(".")
    while ".." in spelled:
        spelled = spelled.replace("..", ".")
    return spelled or "nobody"


def mailname() -> str:
    """What /etc/mailname holds; empty where there is none."""
    try:
        with open(_MAILNAME, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""


def host(text: str, node: str) -> str:
    """The domain of this machine's mail: as on Debian what /etc/mailname says, else the machine's name."""
    for line in text.splitlines():
        for word in line.partition("#")[0].split():
            if domain := _domain(word):
                return domain
    if text.strip():
        say(2, f"sendmail: {_MAILNAME} holds no domain; the name of the machine is used")
    return _domain(node) or "localhost"


def _domain(word: str) -> str:
    """`word` as a domain in ASCII; empty if it is none."""
    if not word.isascii():
        try:
            word = word.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    word = word.removesuffix(".")
    labels = word.split(".")
    valid = all(
        label and len(label) < 64 and label[0] != "-" != label[-1] and all(char in _DOMAIN for char in label)
        for label in labels
    )
    return word if valid and len(word) < 254 else ""
