"""The relay in a browser: who may look, what is shown, and what can be done there."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.console.assets import serve_asset as serve_asset
    from postbearer.console.codes import OneTimeCodes as OneTimeCodes
    from postbearer.console.logins import ConsoleLogin as ConsoleLogin
    from postbearer.console.logins import Role as Role
    from postbearer.console.pages import POLICY as POLICY
    from postbearer.console.pages import headed as headed
    from postbearer.console.pages import page_environment as page_environment
    from postbearer.console.passkeys import Passkeys as Passkeys
    from postbearer.console.preview import FRAME_HEADERS as FRAME_HEADERS
    from postbearer.console.preview import LARGEST_PREVIEW as LARGEST_PREVIEW
    from postbearer.console.preview import read_front as read_front
    from postbearer.console.second_factor import make_key as make_key
    from postbearer.console.second_factor import provisioning_uri as provisioning_uri
    from postbearer.console.services import ConsoleServices as ConsoleServices
    from postbearer.console.services import ConsoleSettings as ConsoleSettings
    from postbearer.console.services import ConsoleState as ConsoleState
    from postbearer.console.site import console as console

_EXPORTS = {
    "assets": ["serve_asset"],
    "codes": ["OneTimeCodes"],
    "logins": ["ConsoleLogin", "Role"],
    "pages": ["POLICY", "headed", "page_environment"],
    "passkeys": ["Passkeys"],
    "preview": ["FRAME_HEADERS", "LARGEST_PREVIEW", "read_front"],
    "second_factor": ["make_key", "provisioning_uri"],
    "services": ["ConsoleServices", "ConsoleSettings", "ConsoleState"],
    "site": ["console"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
