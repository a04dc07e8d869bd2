"""Several processes, and processes that die, share one grant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postbearer.errors import GrantRefused
from postbearer.oauth import CachedSource, Endpoint, RefreshToken
from postbearer.secret import Secret
from postbearer.state import KeyFile, StateFolder, TokenFile
from support.tokenserver import TokenServer, said

FETCH = """
import asyncio, os, signal, sys
from postbearer.state import KeyFile, StateFolder, TokenFile
from postbearer.oauth import CachedSource, Endpoint, RefreshToken
from postbearer.secret import Secret

url, state, die = sys.argv[1:]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

class Store(TokenFile):
    async def save(self, kept):
        if die == "answer read, not committed":
            kill()
        saved = await super().save(kept)
        if die == "after commit":
            kill()
        return saved

class Doomed:
    reference = "doomed"
    async def read(self):
        if die == "before the request":
            kill()
        return Secret("client-secret")

folder = StateFolder(state)
store = Store(folder, "alerts", binding="b", box=KeyFile(folder).box)
grant = RefreshToken("relay", Secret("refresh-0"), Doomed())
source = CachedSource(grant, Endpoint(url), account="alerts", store=store)
print(asyncio.run(source.token()).access.reveal())
"""


def start(server: TokenServer, state: Path, die: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, server.url, str(state), die]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def source(server: TokenServer, state: Path) -> CachedSource:
    folder = StateFolder(state)
    store = TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box)
    grant = RefreshToken("relay", Secret("refresh-0"), Secret("client-secret"))
    return CachedSource(grant, Endpoint(server.url), account="alerts", store=store)


async def kept_refresh_token(state: Path) -> Secret | None:
    folder = StateFolder(state)
    return (await TokenFile(folder, "alerts", binding="b", box=KeyFile(folder).box).load()).refresh


def test_o6_ten_processes_cost_one_request(server: TokenServer, state: Path) -> None:
    server.family("refresh-0")
    children = [start(server, state) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        ends = list(pool.map(lambda child: (*child.communicate(timeout=60), child.returncode), children))
    assert [status for _, _, status in ends] == [0] * 10, ends
    assert {output for output, _, _ in ends} == {"access-1\n"}
    assert len(server.asked) == 1


def killed(child: subprocess.Popen[str]) -> None:
    output, complaint = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, complaint
    assert output == ""


async def test_o6a_killed_before_the_request(server: TokenServer, state: Path, source: CachedSource) -> None:
    server.family("refresh-0")
    killed(start(server, state, "before the request"))
    assert server.asked == []
    assert (await source.token()).access == Secret("access-1")


async def test_o6b_killed_before_the_answer(server: TokenServer, state: Path, source: CachedSource) -> None:
    server.family("refresh-0")
    server.script.append(said(access_token="never-read", token_type="Bearer", refresh_token="refresh-x"))
    child: list[subprocess.Popen[str]] = []
    server.script[0].before = lambda: (server.family("refresh-x"), os.kill(child[0].pid, signal.SIGKILL))
    child.append(start(server, state))
    killed(child[0])
    with pytest.raises(GrantRefused) as caught:  # nobody can save this one: the server revoked the family
        await source.token()
    assert caught.value.account == "alerts"
    assert "ign in again" in caught.value.hint


async def test_o6c_killed_before_the_commit(server: TokenServer, state: Path, source: CachedSource) -> None:
    server.family("refresh-0")
    await source.token()
    await source.invalidate(await source.token())
    killed(start(server, state, "answer read, not committed"))
    assert await kept_refresh_token(state) == Secret("refresh-1")
    with pytest.raises(GrantRefused):
        await source.token()
    assert await kept_refresh_token(state) == Secret("refresh-1"), "an error deletes nothing"


async def test_o6d_killed_after_the_commit(server: TokenServer, state: Path, source: CachedSource) -> None:
    server.family("refresh-0")
    killed(start(server, state, "after commit"))
    assert await kept_refresh_token(state) == Secret("refresh-1")
    assert (await source.token()).access == Secret("access-1")
    assert len(server.asked) == 1
    await source.invalidate(await source.token())
    assert (await source.token()).access == Secret("access-2")
