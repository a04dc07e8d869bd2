"""The command as people run it, in an empty home folder."""

from cli.conftest import home

__all__ = ["home"]
