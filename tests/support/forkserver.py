"""A fork server: ``postbearer`` with everything imported, forked for each run (`support.command` asks it).

What is forked has its own arguments, environment, folder and standard streams.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import json
import os
import selectors
import socket
import sys
import threading
import traceback
from importlib import import_module
from pkgutil import walk_packages
from runpy import run_module
from typing import Any, NamedTuple

NUMBER = 8  # octets of a number that is told
STREAMS = 3  # standard input, output and error
# What no command loads: other people's frameworks, and what looks whether somebody else has loaded it.
UNUSED = ("postbearer.integrations", "postbearer.tracing", "postbearer.__main__")
# What is imported late, in functions.
LATE = ("cryptography.fernet", "httpx2", "tomlkit", "uvloop")


class Request(NamedTuple):
    """One run that is wanted: where its exit status is told, and its streams."""

    reply: socket.socket
    streams: list[int]


def preload() -> None:
    import postbearer

    for module in walk_packages(postbearer.__path__, "postbearer."):
        if not module.name.startswith(UNUSED):
            import_module(module.name)
    for name in LATE:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page


def received(door: socket.socket) -> Request | None:
    """The next request; None when nobody will make one any more."""
    handles = array.array("i")
    data, ancillary, _, _ = door.recvmsg(1, socket.CMSG_SPACE((1 + STREAMS) * handles.itemsize))
    if not data:
        return None
    for _, _, content in ancillary:
        handles.frombytes(content)
    reply, *streams = handles
    return Request(socket.socket(fileno=reply), streams)


def serve(door: socket.socket) -> Request | None:
    """Fork for each request, which the child returns; and tell how children ended, until `door` is closed."""
    waiting = selectors.DefaultSelector()
    waiting.register(door, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is door:
                request = received(door)
                if request is None:
                    return None
                if not (child := os.fork()):
                    leave(waiting)
                    return request
                for stream in request.streams:
                    os.close(stream)
                tell(request.reply, child)
                waiting.register(os.pidfd_open(child), selectors.EVENT_READ, (child, request.reply))
            else:
                waiting.unregister(key.fd)
                os.close(key.fd)
                child, reply = key.data
                with reply:
                    tell(reply, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def tell(reply: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked waits no more
        reply.sendall(number.to_bytes(NUMBER, "big", signed=True))


def leave(waiting: selectors.BaseSelector) -> None:
    """Close in the child what is the server's."""
    for key in list(waiting.get_map().values()):
        if isinstance(key.fileobj, socket.socket):
            key.fileobj.close()
        else:
            os.close(key.fd)
            key.data[1].close()
    waiting.close()


def become(request: Request) -> None:
    """Be what was asked for, as far as that is a matter of the process."""
    with request.reply, request.reply.makefile("rb") as said:
        given = json.load(said)
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(given["folder"])
    os.environ.clear()
    os.environ.update(given["environ"])
    sys.argv = [sys.argv[0], *given["arguments"]]
    sys.path[0] = given["folder"]  # as `python -m` has it
    sys.stdin = sys.__stdin__ = again(sys.stdin)
    sys.stdout = sys.__stdout__ = again(sys.stdout)
    sys.stderr = sys.__stderr__ = again(sys.stderr)
    sys.stderr.reconfigure(line_buffering=True)


def again(stream: Any) -> Any:
    """The stream as Python makes it at its start: it looks then what kind of file it is."""
    number, mode = stream.fileno(), stream.mode
    return open(number, mode, encoding=stream.encoding, errors=stream.errors, closefd=False)


def ended(module: str) -> int:
    """The exit status of a module run as ``python -m`` runs it, once all is done that Python does as it ends.

    It does not take the modules down one by one then, which costs more than most commands.
    """
    try:
        run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    preload()
    with socket.socket(fileno=int(sys.argv[1])) as mine:
        wanted = serve(mine)
    if wanted is not None:
        become(wanted)
        os._exit(ended("postbearer"))
