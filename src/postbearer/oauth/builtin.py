"""The grants that come with postbearer, by the name that accounts call them by."""

from __future__ import annotations

from typing import cast

from postbearer import oauth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.oauth.grants import TokenGrant


def grant_names() -> tuple[str, ...]:
    """The names of the grants, in the order they are told in."""
    return tuple(oauth.GRANTS)


def grant_class(name: object) -> type[TokenGrant] | None:
    """The grant called `name`, which says the rest about itself; None if it is none of ours."""
    if not isinstance(name, str) or name not in oauth.GRANTS:
        return None
    return cast("type[TokenGrant]", getattr(oauth, oauth.GRANTS[name]))
