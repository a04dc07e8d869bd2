"""``python -m postbearer`` is the command ``postbearer``."""

from __future__ import annotations

import sys

from postbearer.cli import main

if __name__ == "__main__":
    sys.exit(main())
