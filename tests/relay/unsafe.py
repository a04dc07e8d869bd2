"""The command with a spool that does not sync each commit: what most recipes for SQLite recommend.

A power cut has to lose mail then; if it does not, the test of the power cut tests nothing.
"""

import sys

from postbearer.cli import main
from postbearer.store import database

database._SYNCHRONOUS = 1  # NORMAL

if __name__ == "__main__":
    sys.exit(main())
