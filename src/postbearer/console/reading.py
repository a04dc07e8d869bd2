"""A message itself: its header, its text in a frame that can load nothing, its source, and a file."""

from __future__ import annotations

import asyncio

from starlette.responses import HTMLResponse, Response, StreamingResponse

from postbearer.console import preview
from postbearer.console.message import message
from postbearer.console.pages import PRIVATE
from postbearer.console.preview import LARGEST_PREVIEW
from postbearer.console.visit import ConsolePage, Visit
from postbearer.control import Right
from postbearer.message import Content


async def read(visit: Visit) -> Response:
    """The page about what the message says."""
    found = await message(visit)
    head = await _front(visit, found.id, LARGEST_PREVIEW)
    visit.of.reading = found.id
    reading = await asyncio.to_thread(preview.read_front, head, found.size)
    return visit.page("read.html", message=found, reading=reading)


async def frame(visit: Visit) -> Response:
    """What stands in the frame: a document of its own, which runs nothing and asks for nothing."""
    found = await message(visit)
    head = await _front(visit, found.id, LARGEST_PREVIEW, again=visit.of.reading == found.id)
    visit.of.reading = ""
    shown = await asyncio.to_thread(preview.preview, head, whole=len(head) >= found.size)
    return HTMLResponse(shown.document, headers=preview.FRAME_HEADERS)


async def download(visit: Visit) -> Response:
    """The accepted octets, as a file."""
    found = await message(visit)
    content = await _content(visit, found.id)
    headers = {
        "content-disposition": f'attachment; filename="{found.id}.eml"',
        "content-length": str(content.size),
        "cache-control": PRIVATE,
        "content-security-policy": "sandbox; default-src 'none'",
    }
    return StreamingResponse(content.blocks(), headers=headers, media_type="application/octet-stream")


async def _front(visit: Visit, identifier: str, most: int, *, again: bool = False) -> bytes:
    """The first `most` octets."""
    content, found = await _content(visit, identifier, again=again), bytearray()
    for block in content.blocks():
        found += block
        if len(found) >= most:
            break
    return bytes(found[:most])


async def _content(visit: Visit, identifier: str, *, again: bool = False) -> Content:
    return await visit.services.api.operations.content(identifier, by=visit.by, again=again)


PAGES = (
    ConsolePage(path="/messages/{id}/read", needs=Right.ADMIN, do=read),
    ConsolePage(path="/messages/{id}/frame", needs=Right.ADMIN, do=frame),
    ConsolePage(path="/messages/{id}/download", needs=Right.ADMIN, do=download),
)
