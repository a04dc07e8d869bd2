"""SMTP without I/O: bytes in, events out; both roles speak through the same event classes."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.wire.client import SmtpClient as SmtpClient
    from postbearer.wire.content import DotStuffer as DotStuffer
    from postbearer.wire.content import DotUnstuffer as DotUnstuffer
    from postbearer.wire.content import LineCheck as LineCheck
    from postbearer.wire.events import Answer as Answer
    from postbearer.wire.events import Auth as Auth
    from postbearer.wire.events import AuthResponse as AuthResponse
    from postbearer.wire.events import Bdat as Bdat
    from postbearer.wire.events import Closed as Closed
    from postbearer.wire.events import Command as Command
    from postbearer.wire.events import Content as Content
    from postbearer.wire.events import Data as Data
    from postbearer.wire.events import Ehlo as Ehlo
    from postbearer.wire.events import EndOfContent as EndOfContent
    from postbearer.wire.events import Event as Event
    from postbearer.wire.events import Greeting as Greeting
    from postbearer.wire.events import Helo as Helo
    from postbearer.wire.events import Help as Help
    from postbearer.wire.events import Mail as Mail
    from postbearer.wire.events import MailParameters as MailParameters
    from postbearer.wire.events import Noop as Noop
    from postbearer.wire.events import Quit as Quit
    from postbearer.wire.events import Rcpt as Rcpt
    from postbearer.wire.events import RcptParameters as RcptParameters
    from postbearer.wire.events import Reply as Reply
    from postbearer.wire.events import Rset as Rset
    from postbearer.wire.events import StartTls as StartTls
    from postbearer.wire.events import Vrfy as Vrfy
    from postbearer.wire.extensions import Dispensable as Dispensable
    from postbearer.wire.extensions import Extensions as Extensions
    from postbearer.wire.grammar import EHLO_NAME as EHLO_NAME
    from postbearer.wire.grammar import BadSyntax as BadSyntax
    from postbearer.wire.offer import LineLimits as LineLimits
    from postbearer.wire.offer import Offer as Offer
    from postbearer.wire.proxy_header import read_proxy_header as read_proxy_header
    from postbearer.wire.render import auth_fits as auth_fits
    from postbearer.wire.render import auth_line as auth_line
    from postbearer.wire.replies import ReplyLimits as ReplyLimits
    from postbearer.wire.replies import ReplyReader as ReplyReader
    from postbearer.wire.replies import decode_challenge as decode_challenge
    from postbearer.wire.replies import render_reply as render_reply
    from postbearer.wire.replies import reply_of as reply_of
    from postbearer.wire.server import SmtpServer as SmtpServer
    from postbearer.wire.server_replies import challenge as challenge
    from postbearer.wire.state import ClientState as ClientState
    from postbearer.wire.status import Code as Code
    from postbearer.wire.status import compose as compose

_EXPORTS = {
    "client": ["SmtpClient"],
    "content": ["DotStuffer", "DotUnstuffer", "LineCheck"],
    "events": [
        "Answer",
        "Auth",
        "AuthResponse",
        "Bdat",
        "Closed",
        "Command",
        "Content",
        "Data",
        "Ehlo",
        "EndOfContent",
        "Event",
        "Greeting",
        "Helo",
        "Help",
        "Mail",
        "MailParameters",
        "Noop",
        "Quit",
        "Rcpt",
        "RcptParameters",
        "Reply",
        "Rset",
        "StartTls",
        "Vrfy",
    ],
    "extensions": ["Dispensable", "Extensions"],
    "grammar": ["EHLO_NAME", "BadSyntax"],
    "offer": ["LineLimits", "Offer"],
    "proxy_header": ["read_proxy_header"],
    "render": ["auth_fits", "auth_line"],
    "replies": ["ReplyLimits", "ReplyReader", "decode_challenge", "render_reply", "reply_of"],
    "server": ["SmtpServer"],
    "server_replies": ["challenge"],
    "state": ["ClientState"],
    "status": ["Code", "compose"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
