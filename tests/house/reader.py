"""A reader who types every block of a page into one shell, in an empty home folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from house.tree import ROOT
from support.ports import free_ports

RUNNABLE = ("console", "sh", "python")
MARK = re.compile(r"<!-- (not run|file|exits|setup): (.+?) -->")
FENCE = re.compile(r"( *)(```+)(\w*)")
INHERITED = re.compile(r"PYTHONPATH|PIP_.*|.*_PROXY|SSL_CERT_.*|LANG|TMPDIR", re.IGNORECASE)
SECONDS = 300
LOOK = re.compile(
    r"postbearer (queue|accounts)(?! (hold|release|retry|cancel|import|pause|resume))|curl -s \$SANDBOX"
    r"|curl .*/v1/messages\?"
)
PATIENCE = 20  # seconds until what a relay does in its own time can be seen
RELAY, HTTP = "2525", "2580"  # the ports of the relay on all pages; what runs listens on free ones
USUAL = ".config/postbearer/postbearer.toml"


@dataclass
class Block:
    language: str
    line: int
    marks: dict[str, str]
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, each with the marking comments that stand before it."""
    marks: dict[str, str] = {}
    current: Block | None = None
    indent = fence = ""
    for number, line in enumerate(page.splitlines(), 1):
        opening = FENCE.match(line)
        if current is not None:
            if line.strip() == fence:
                yield current
                current = None
            else:
                current.lines.append(line.removeprefix(indent))
        elif opening:
            indent, fence, language = opening.groups()
            current, marks = Block(language, number, marks), {}
        elif mark := MARK.fullmatch(line.strip()):
            marks[mark[1]] = ", ".join(filter(None, (marks.get(mark[1]), mark[2])))
    if current is not None:
        raise ValueError(f"the block of line {current.line} does not end")
    if marks:
        raise ValueError(f"no block follows: {marks}")


def commands(block: Block) -> Iterator[tuple[str, str | None]]:
    """The commands of a console block, and the output shown for each (None: none shown)."""
    command = ""
    output: list[str] = []
    for line in [*block.lines, "$ "]:
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(output) if output else None
            command, output = line[2:], []
        elif command.endswith("\\") and not output:
            command += "\n" + line.removeprefix("> ")
        else:
            output.append(line)


def matches(shown: str, real: str) -> bool:
    """Whether `real` is what the page shows; ``...`` stands for anything, also for several lines.

    Between the columns of a table there may be more or fewer blanks than on the page.
    """
    pattern = ".*?".join(re.escape(piece) for piece in shown.strip().split("..."))
    pattern = re.sub(r"(\\ ){2,}", " {2,}", pattern)
    return re.fullmatch(pattern, "\n".join(map(str.rstrip, real.strip().splitlines())), re.DOTALL) is not None


class Reader:
    """Runs blocks in one home folder; variables and the working folder last, as in a shell left open."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.remembered = home.parent / f"{home.name}.shell"
        self.remembered.write_text("")
        self.env = {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)} | {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "POSTBEARER_STATE": str(home / ".local/state/postbearer"),  # also for root
            "NO_COLOR": "1",
            "COLUMNS": "110",
        }
        self.started: list[subprocess.Popen[str]] = []
        self.relay_port, self.http_port = map(str, free_ports(2))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.started):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(10)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def follow(self, page: str) -> None:
        """Do what the page says, from top to bottom.

        Raises AssertionError with the line, the command and what came out instead.
        """
        self.clone_from_here(page)
        if "<!-- setup: relay -->" in page:
            page = page.replace(RELAY, self.relay_port).replace(HTTP, self.http_port)
        for block in blocks(page):
            for fixture in filter(None, block.marks.get("setup", "").split(", ")):
                self.set_up(fixture)
            if "file" in block.marks:
                target = self.home / block.marks["file"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
                target.chmod(0o600)
            elif block.language in RUNNABLE and "not run" not in block.marks:
                self.run_block(block)

    def run_block(self, block: Block) -> None:
        exits = int(block.marks.get("exits", 0))
        if block.language == "console":
            steps = list(commands(block))
            assert steps, f"line {block.line}: a console block without a `$ ` command"
        elif block.language == "python":
            steps = [(f"{shlex.quote(sys.executable)} - <<'END-OF-BLOCK'\n{block.text}END-OF-BLOCK", None)]
        else:
            steps = [(f"set -e\n{block.text}", None)]
        for command, shown in steps:
            code, output = self.run(command)
            until = time.monotonic() + PATIENCE
            while LOOK.match(command) and shown and not matches(shown, output) and time.monotonic() < until:
                time.sleep(0.2)
                code, output = self.run(command)
            expected = exits if command == steps[-1][0] else 0
            assert code == expected, (
                f"line {block.line}: exit code {code}, not {expected}\n$ {command}\n{output}"
            )
            assert shown is None or matches(shown, output), (
                f"line {block.line}: the page shows other output\n$ {command}\n{output}\n— shown:\n{shown}"
            )

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and output. A command put in the background lives until the page ends."""
        keep = (
            f'trap \'{{ declare -px; printf "cd %q\\n" "$PWD"; }} >{shlex.quote(str(self.remembered))}\' EXIT'
        )
        script = f". {shlex.quote(str(self.remembered))}\n{keep}\n{command}\n"
        log = self.remembered.with_suffix(".log")
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self.started.append(process)
            code = process.wait(SECONDS)
        return code, log.read_text()

    def set_up(self, fixture: str) -> None:
        """Start what a page takes for granted: ``sandbox``, ``sandbox PROVIDER`` or ``relay``."""
        name, _, provider = fixture.partition(" ")
        starts = {"sandbox": self.set_up_sandbox, "relay": self.set_up_relay}
        assert name in starts, f"no fixture {name!r}"
        starts[name](*provider.split())

    def set_up_sandbox(self, provider: str = "generic") -> None:
        """A mail provider, and its variables."""
        log = self.home.parent / "sandbox.json"
        process = self.start(f"exec postbearer sandbox --json --provider {provider}", log)
        told = when_ready(log, process, lambda text: json.JSONDecoder().raw_decode(text.lstrip())[0])
        self.remember(f". {shlex.quote(told['environment'])}")

    def set_up_relay(self) -> None:
        """The relay, as the page configures it; on the page's port, also where that says nothing of it."""
        listen = f"POSTBEARER_RELAY__LISTEN='[\"127.0.0.1:{self.relay_port}\"]'"
        log = self.home.parent / f"relay-{len(self.started)}.log"
        process = self.start(
            f'grep -qs ":{self.relay_port}" "${{POSTBEARER_CONFIG:-$HOME/{USUAL}}}" || export {listen}\n'
            "POSTBEARER_ALLOW_EPHEMERAL=true exec postbearer serve",
            log,
        )
        when_ready(log, process, lambda text: text[text.index("the relay listens on") :])
        self.remember(f"export RELAY_HOST=127.0.0.1 RELAY_PORT={self.relay_port}")

    def start(self, script: str, log: Path) -> subprocess.Popen[str]:
        """A program that runs until the page ends, in the shell's folder and with its variables."""
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", f". {shlex.quote(str(self.remembered))}\n{script}"],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        threading.Thread(target=process.wait, daemon=True).start()  # a page that ends it sees it gone
        return process

    def remember(self, line: str) -> None:
        with self.remembered.open("a") as shell:
            shell.write(f"{line}\n")

    def clone_from_here(self, page: str) -> None:
        """`git clone` of the project's address takes this checkout: what is read is what is tested."""
        for address in re.findall(r"git clone (https://\S+/postbearer(?:\.git)?)(?=\s|$)", page):
            self.env |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
                "GIT_CONFIG_VALUE_0": address,
            }


def when_ready(log: Path, process: subprocess.Popen[str], told: Callable[[str], Any]) -> Any:
    """What `told` makes of a program's output, as soon as it raises no ValueError."""
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            return told(log.read_text())
        except ValueError:
            time.sleep(0.05)
    raise AssertionError(f"{log.stem} did not get ready: {log.read_text()}")
