"""Runs a fuzz target: under atheris where it is installed, else with the standard library's dice.

``python fuzz/fuzz_reply.py [seconds]`` rolls the dice; with atheris its own arguments are taken.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence

SEED = 20_261_122


def pieces(data: bytes) -> Iterator[bytes]:
    """`data` cut at places that it determines itself, so that a finding can be run again."""
    dice = random.Random(data)
    start = 0
    while start < len(data):
        end = start + dice.choice((1, 1, 2, 3, 7, 64))
        yield data[start:end]
        start = end


def run(target: Callable[[bytes], None], words: Sequence[bytes]) -> None:
    """Call `target` with one input after another until it raises; `words` are what it knows."""
    try:
        import atheris  # pyright: ignore[reportMissingImports]  # no wheel for every Python
    except ImportError:
        roll(target, words, float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
    else:
        atheris.instrument_all()
        atheris.Setup(sys.argv, target)
        atheris.Fuzz()


def roll(target: Callable[[bytes], None], words: Sequence[bytes], seconds: float) -> None:
    """Inputs made of known words and random octets, for `seconds`."""
    dice = random.Random(SEED)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        parts = (
            dice.choice(words) if dice.random() < 0.8 else dice.randbytes(3)
            for _ in range(dice.randint(0, 12))
        )
        data = b"".join(parts)
        try:
            target(data)
        except BaseException:
            print(f"input {count}: {data!r}", file=sys.stderr)
            raise
        count += 1
    print(f"{count} inputs, nothing found")
