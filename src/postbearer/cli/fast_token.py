"""``token ACCOUNT`` with a cached token: no argument parser, no TOML, no event loop.

Whatever is out of the ordinary goes the long way, which also says what is wrong.
"""

from __future__ import annotations

import os

from postbearer._version import __version__
from postbearer.config import find, read


def cached_token(arguments: list[str]) -> str | None:
    """The kept token of the account named by `arguments`, if it is fresh and nothing has changed."""
    match arguments:
        case [account]:
            named = None
        case ["--config", named, account] | [account, "--config", named]:
            pass
        case _:
            return None
    if account.startswith("-"):
        return None
    from postbearer.errors import ConfigError
    from postbearer.state import default_state_folder, peek, shortcut

    try:
        content = read(find(named, os.environ))
        state = default_state_folder()
    except ConfigError:
        return None
    import time

    return peek(state, account, shortcut(content, os.environ, __version__), time.time())
