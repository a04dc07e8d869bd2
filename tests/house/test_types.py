"""The library is typed for users: right programs pass a strict check, and wrong calls do not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from house.tree import ROOT

USER = """
from email.message import EmailMessage
from pathlib import Path

from postbearer import Account, AsyncMailer, Mailer, Receipt, Retry, SendResult
from postbearer.testing import AsyncRecordingMailer, RecordingMailer


def alert(mailer: Mailer) -> Receipt:
    mailer.send(EmailMessage(), wait=False, retry=2)
    return mailer.send(
        to=["you@example.org"], subject="s", text="t", html="<p>", attach=[Path("r.csv"), ("n", b"")],
        inline={"logo": "logo.png"}, cc="a@example.org", headers={"X": "y"}, retry=Retry(3, first=1.0),
    )


async def alerts(mailer: AsyncMailer) -> list[SendResult]:
    await mailer.send(to="you@example.org", text="t")
    assert (await mailer.check()).ok
    return await mailer.send_many([EmailMessage(), {"to": "a@example.org", "text": "x"}], on_progress=print)


alert(RecordingMailer()).queue_id.upper()
recording: AsyncMailer = AsyncRecordingMailer()
"""
WRONG = {
    "an unknown part": 'Mailer(a).send(to="you@example.org", atach=["r.csv"])',
    "bytes as a text": 'Mailer(a).send(to="you@example.org", text=b"x")',
    "a path alone": "Mailer(a).send(to='you@example.org', attach=5)",
    "a message and a part": "Mailer(a).send(EmailMessage(), subject='x')",
    "a retry in words": "Mailer(a).send(EmailMessage(), retry='3')",
    "awaited by the wrong one": "Mailer(a).send(EmailMessage()).__await__",
    "limits as a dict": "Account.google('a@example.org', grant=g, limits={'size': 1})",
}


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What mypy --strict says of a user's program."""
    (folder / "user.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    return subprocess.run([*command, "user.py"], cwd=folder, capture_output=True, text=True, check=False)


def test_programs_of_users_are_typed(tmp_path: Path) -> None:
    done = checked(tmp_path, USER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_calls_are_found(tmp_path: Path) -> None:
    head = "from email.message import EmailMessage\nfrom postbearer import Account, Mailer, StaticToken\n"
    calls = "".join(f"    {call}\n" for call in WRONG.values())
    done = checked(tmp_path, head + "def f(a: Account, g: StaticToken) -> None:\n" + calls)
    found = {int(line) for line in re.findall(r"user.py:(\d+): error", done.stdout)}
    missed = [name for number, name in enumerate(WRONG, 4) if number not in found]
    assert missed == [], done.stdout


def test_a_grant_of_ones_own_is_typed(tmp_path: Path) -> None:
    page = (ROOT / "docs/how-to/use-from-python.md").read_text()
    (example,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "TokenGrant" in block
    )
    bare = re.sub(r"(\w+): ClassVar = ", r"\1 = ", example)  # as one would write it without knowing
    for text in (example, bare):
        done = checked(tmp_path, text)
        assert done.returncode == 0, done.stdout + done.stderr
