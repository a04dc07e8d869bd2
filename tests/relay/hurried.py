"""The command with leases of seconds, and a clock that is ahead by so many as POSTBEARER_TEST_AHEAD says."""

import os
import sys
import time
from functools import partial

_right = time.time
time.time = partial(lambda ahead: _right() + ahead, float(os.environ.pop("POSTBEARER_TEST_AHEAD", "0")))

from postbearer.store import lease  # noqa: E402 - what follows reads the clock and the constants

lease.LEASE, lease.HEARTBEAT = 4.0, 1.0

from postbearer.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
