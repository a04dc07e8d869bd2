"""What every server of ours shares, whatever it speaks: links to clients, sockets of this machine."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.serving.link import LINGER as LINGER
    from postbearer.serving.link import Link as Link
    from postbearer.serving.link import user_of as user_of
    from postbearer.serving.local import LocalServer as LocalServer
    from postbearer.serving.local import Reader as Reader
    from postbearer.serving.local import in_group as in_group
    from postbearer.serving.local import machine_places as machine_places
    from postbearer.serving.local import peer_name as peer_name
    from postbearer.serving.local import runtime_folder as runtime_folder
    from postbearer.serving.local import socket_places as socket_places
    from postbearer.serving.local import unix_socket as unix_socket
    from postbearer.serving.local import user_name as user_name

_EXPORTS = {
    "link": ["LINGER", "Link", "user_of"],
    "local": [
        "LocalServer",
        "Reader",
        "in_group",
        "machine_places",
        "peer_name",
        "runtime_folder",
        "socket_places",
        "unix_socket",
        "user_name",
    ],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
