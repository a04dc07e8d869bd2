"""What the tests of the control socket share with those of the ways in."""

from __future__ import annotations

from submission.conftest import folder as folder
