"""Who calls, and the name of this machine: looked at before it is used, for it must never stop a mail."""

from __future__ import annotations

import posix

from postbearer.cli.dropin.arguments import say
from postbearer.handover import MAILNAME, mail_domain, mailname, named_in

_LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~."


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


def host(text: str, node: str) -> str:
    """The domain of this machine's mail, by what /etc/mailname and the system say."""
    if text.strip() and not named_in(text):
        say(2, f"sendmail: {MAILNAME} holds no domain; the name of the machine is used")
    return mail_domain(text, node)
