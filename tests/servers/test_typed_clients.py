"""Clients that generators make of /openapi.json pass the type checkers of their languages, and send."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from servers.nodejs import FOLDER, node
from support.http_api import Api
from support.local import short_folder

pytestmark = pytest.mark.servers

TYPESCRIPT = {
    "compilerOptions": {
        "strict": True,
        "noUncheckedIndexedAccess": True,
        "target": "es2022",
        "module": "nodenext",
        "lib": ["es2022", "dom"],
        "types": [],
    },
    "files": ["typed-client.ts"],
}
PYTHON = """
import sys

from client import AuthenticatedClient
from client.api.messages import message, submit
from client.models import AcceptedMessage, Attachment, MessageDetail, NewMessage, ProblemDocument
from client.types import File, Unset
from io import BytesIO

relay = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
attached = [Attachment(filename="a.txt", content="b25l")]
given = NewMessage(to="you@example.org", subject="Typed", text="It works.", attachments=attached)
sent = submit.sync(client=relay, body=given, idempotency_key="typed-1")
assert isinstance(sent, AcceptedMessage), sent
assert not isinstance(sent.id, Unset)
again = submit.sync(client=relay, body=given, idempotency_key="typed-1")
assert isinstance(again, AcceptedMessage) and again.id == sent.id

raw = File(payload=BytesIO(b"From: a@example.org\\r\\n\\r\\nIt works.\\r\\n"))
whole = submit.sync(client=relay, body=raw, from_="a@example.org", to=["b@example.org"])
assert isinstance(whole, AcceptedMessage), whole

wrong = submit.sync(client=relay, body=NewMessage(to="nobody"))
assert isinstance(wrong, ProblemDocument) and not isinstance(wrong.errors, Unset)
assert wrong.errors[0].pointer == "/to", wrong

seen = message.sync(sent.id, client=relay)
assert isinstance(seen, MessageDetail), seen
print(sent.id, *(each.address for each in seen.recipients))
"""


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    with short_folder() as folder:
        made = Api(folder)
        await made.start()
        yield made
        await made.running.stop(0.0)


async def run(*command: object, cwd: Path) -> str:
    """What the command says; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said


def token_of(api: Api) -> str:
    return api.token("submit", "read")["authorization"].removeprefix("Bearer ")


async def described(api: Api, folder: Path) -> Path:
    """The document, as a file."""
    file = folder / "openapi.json"
    async with api.http() as client:
        file.write_bytes((await client.get("/openapi.json")).content)
    return file


async def test_a_client_in_python(api: Api, tmp_path: Path) -> None:
    document = await described(api, tmp_path)
    config = tmp_path / "config.json"  # content types that the generator does not know of itself
    known = {"message/rfc822": "application/octet-stream", "application/jsonl": "text/plain"}
    config.write_text(json.dumps({"content_type_overrides": known}))
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--path", document]
    options = ["--meta", "none", "--output-path", "client", "--config", config, "--fail-on-warning"]
    await run(*generate, *options, cwd=tmp_path)
    (tmp_path / "program.py").write_text(PYTHON)
    (tmp_path / "mypy.ini").write_text(  # client.py is the same whatever the document says
        "[mypy]\nstrict = true\nwarn_redundant_casts = false\n"
        "[mypy-client.client]\ndisable_error_code = arg-type\n"
    )
    await run(sys.executable, "-m", "mypy", "program.py", "client", cwd=tmp_path)
    said = await run(sys.executable, "program.py", api.url, token_of(api), cwd=tmp_path)
    identifier, address = said.split()
    assert address == "you@example.org"
    entry = await api.running.spool.show(identifier)
    assert entry is not None
    assert entry.message.subject == "Typed"


async def test_a_client_in_typescript(api: Api, tmp_path: Path) -> None:
    document = await described(api, tmp_path)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps(TYPESCRIPT))
    (tmp_path / "typed-client.ts").write_bytes((FOLDER / "typed-client.ts").read_bytes())
    tools = tmp_path / "node_modules"
    await run(node(), tools / "openapi-typescript/bin/cli.js", document, "-o", "postbearer.ts", cwd=tmp_path)
    await run(node(), tools / "typescript/bin/tsc", cwd=tmp_path)
    said = json.loads(await run(node(), "typed-client.js", api.url, token_of(api), cwd=tmp_path))
    assert said["addresses"] == ["you@example.org"]
    assert said["problem"] == "/to"
    entry = await api.running.spool.show(said["id"])
    assert entry is not None
    assert entry.message.subject == "Typed"
