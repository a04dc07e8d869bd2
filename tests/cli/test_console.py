"""The way into the console: what `serve` prints, and what `console` makes of a relay that runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest

from cli.conftest import Home
from relay.running import plain_account, relay_table
from support.local import short_folder
from support.ports import free_ports

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/console/login\?code=[\w-]{32}")
HTTP = '[http]\nlisten = ["127.0.0.1:0"]\n'


@contextmanager
def serving(
    folder: Path, home: Home, *arguments: str, http: str = HTTP, **environ: str
) -> Iterator[Queue[str]]:
    """``postbearer serve`` as somebody types it; yields the lines that it prints."""
    config = folder / "postbearer.toml"
    config.write_text(plain_account(free_ports(1)[0]) + relay_table() + http)
    home.environ |= {"POSTBEARER_STATE": str(folder / "state"), "POSTBEARER_CONFIG": str(config)}
    lines: Queue[str] = Queue()
    with subprocess.Popen(
        [sys.executable, "-m", "postbearer", "serve", *arguments],
        env={**os.environ, **home.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        reader = Thread(target=lambda: [lines.put(line) for line in process.stderr or ()])
        reader.start()
        try:
            yield lines
        finally:
            process.terminate()
            process.wait(30)
            reader.join()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


def until(lines: Queue[str], pattern: str) -> str:
    """All that is printed until `pattern` is in it."""
    told = ""
    while not re.search(pattern, told):
        told += lines.get(timeout=60)
    return told


def opens(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return str(answer.read().decode())


def test_serve_prints_where_the_console_is_and_another_code_is_made(folder: Path, home: Home) -> None:
    with serving(folder, home) as lines:
        printed = ADDRESS.search(until(lines, ADDRESS.pattern))
        assert printed
        assert "Open the console" in opens(printed[0])
        ran = home.run("console")
        assert ran.code == 0
        made = ADDRESS.fullmatch(ran.out.strip())
        assert made
        assert made[0] != printed[0]
        assert made[0].partition("?")[0] == printed[0].partition("?")[0]
        assert ADDRESS.fullmatch(json.loads(home.run("console", "--json").out)["url"])


@pytest.mark.parametrize(("arguments", "environ"), [((), {"JOURNAL_STREAM": "8:1"}), (("--log", "json"), {})])
def test_no_code_stands_in_a_log_that_others_read(
    folder: Path, home: Home, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    with serving(folder, home, *arguments, **environ) as lines:
        told = until(lines, "listens on")
        assert home.run("console").code == 0  # it is well, and all it had to say is said
        while not lines.empty():
            told += lines.get()
        assert "code=" not in told


def test_without_http_there_is_no_console(folder: Path, home: Home) -> None:
    with serving(folder, home, http="") as lines:
        until(lines, "listens on")
        ran = home.run("console")
        assert ran.code == 64
        assert "The relay has no console." in ran.err
        assert "[http]" in ran.err
