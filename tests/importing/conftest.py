"""The home folder of the commands' tests, and the short one that a relay's sockets need."""

from cli.conftest import home
from relay.conftest import home as short

__all__ = ["home", "short"]
