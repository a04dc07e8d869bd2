"""The HTTP API of the relay: who may ask, what may be asked, and where it listens."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.api.cursors import Cursors as Cursors
    from postbearer.api.endpoints import CONSOLE as CONSOLE
    from postbearer.api.endpoints import ENDPOINTS as ENDPOINTS
    from postbearer.api.endpoints import PROBED as PROBED
    from postbearer.api.endpoints import application as application
    from postbearer.api.problems import HttpProblem as HttpProblem
    from postbearer.api.problems import of_error as of_error
    from postbearer.api.server import HttpServer as HttpServer
    from postbearer.api.services import ApiServices as ApiServices
    from postbearer.api.tokens import FIRST_FILE as FIRST_FILE
    from postbearer.api.tokens import ApiToken as ApiToken
    from postbearer.api.tokens import ApiTokens as ApiTokens
    from postbearer.api.tokens import TokenScope as TokenScope

_EXPORTS = {
    "cursors": ["Cursors"],
    "endpoints": ["CONSOLE", "ENDPOINTS", "PROBED", "application"],
    "problems": ["HttpProblem", "of_error"],
    "server": ["HttpServer"],
    "services": ["ApiServices"],
    "tokens": ["FIRST_FILE", "ApiToken", "ApiTokens", "TokenScope"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
