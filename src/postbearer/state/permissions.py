"""Who else may use a file or a folder. Imports next to nothing, as all that starts passes through here."""

from __future__ import annotations

import os

WRITE, USE = 0o022, 0o077  # what of group and others is meant: to write, or to do anything


def open_to_others(held: os.stat_result, bits: int = WRITE) -> bool:
    """Whether more users than its owner may do what `bits` say.

    A group without a name that we are in was given to this process by who started it, as Kubernetes gives
    one to the volumes of a pod (fsGroup), and may do so anew at each start: nobody else is in it.
    """
    if not held.st_mode & bits & 0o070 or held.st_mode & bits & 0o007 or held.st_gid not in os.getgroups():
        return bool(held.st_mode & bits)
    import grp

    try:
        grp.getgrgid(held.st_gid)
    except KeyError:
        return False
    return True
