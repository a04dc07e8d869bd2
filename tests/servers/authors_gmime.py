"""Whom GMime reads as the authors of a message: messages in base64, one a line; lists in JSON.

Runs on the distribution's Python, which has its bindings.
"""

import base64
import json
import sys

import gi

gi.require_version("GMime", "3.0")
from gi.repository import GMime  # noqa: E402

GMime.init()
NAMES = ("from", "sender", "author", "resent-from", "resent-sender")


def addresses(listed: GMime.InternetAddressList) -> list[str]:
    found = []
    for number in range(listed.length()):
        each = listed.get_address(number)
        found += [each.get_addr()] if hasattr(each, "get_addr") else addresses(each.get_members())
    return [address for address in found if address]


def authors(message: GMime.Message) -> list[str]:
    headers = message.get_header_list()
    found = []
    try:
        for number in range(headers.get_count()):
            header = headers.get_header_at(number)
            if header.get_name().strip().lower() in NAMES:
                listed = GMime.InternetAddressList.parse(None, header.get_raw_value() or "")
                found += addresses(listed) if listed else []
    except UnicodeDecodeError:  # the binding gives a raw value as text only if it is UTF-8
        return addresses(message.get_from()) + addresses(message.get_sender())
    return found


for line in sys.stdin:
    stream = GMime.StreamMem.new_with_buffer(base64.b64decode(line))
    message = GMime.Parser.new_with_stream(stream).construct_message(None)
    print(json.dumps({"GMime": authors(message) if message is not None else []}), flush=True)
