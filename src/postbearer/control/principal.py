"""Who asks: a person or a program, how it is known, and what it may do."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum

from postbearer.serving import peer_name, user_name


class Right(StrEnum):
    """What a method needs."""

    LOOK = "look"  # tells what is there; no secret, and changes nothing
    OPERATE = "operate"  # works on the queue and on accounts
    ADMIN = "admin"  # hands out secrets or whole messages, changes accounts, or ends the relay
    MACHINE = "machine"  # names files to read and programs to run: for users of the relay's own machine


ALL = frozenset(Right)
FROM_ELSEWHERE = frozenset(Right) - {Right.MACHINE}  # the most that anybody may who comes by HTTP
LOOKING = frozenset({Right.LOOK})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks; `known_by` tells people what proved it (the uid of a socket's peer, an API token)."""

    name: str
    known_by: str
    rights: frozenset[Right]

    def may(self, right: Right) -> bool:
        """Whether it has that right."""
        return right in self.rights


def of_user(uid: int, rights: frozenset[Right]) -> Principal:
    """A user of this machine, by the kernel's word. May ask a directory server for the name."""
    return Principal(user_name(uid), peer_name(uid), rights)


def of_this_process() -> Principal:
    """The user who runs this program, who may do everything with what is the user's own."""
    if sys.platform == "win32":
        import getpass

        return Principal(getpass.getuser(), "this process", ALL)
    return of_user(os.geteuid(), ALL)
