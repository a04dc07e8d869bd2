"""Messages: their content as bytes that stream, their header as whole lines, and how new ones are built."""

from postbearer._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from postbearer.message.author import authors as authors
    from postbearer.message.author import claimed as claimed
    from postbearer.message.compose import Composed as Composed
    from postbearer.message.compose import Draft as Draft
    from postbearer.message.content import BLOCK as BLOCK
    from postbearer.message.content import BytesContent as BytesContent
    from postbearer.message.content import Content as Content
    from postbearer.message.content import FileContent as FileContent
    from postbearer.message.content import Scanner as Scanner
    from postbearer.message.content import Traits as Traits
    from postbearer.message.content import has_bare_line_ends as has_bare_line_ends
    from postbearer.message.conversion import Conversion as Conversion
    from postbearer.message.conversion import convert as convert
    from postbearer.message.edited import edit as edit
    from postbearer.message.edited import edit_and_read as edit_and_read
    from postbearer.message.edited import parse_header as parse_header
    from postbearer.message.edited import read_header as read_header
    from postbearer.message.edited import with_header as with_header
    from postbearer.message.encoded_words import decoded as decoded
    from postbearer.message.fields import Header as Header
    from postbearer.message.files import AttachedFile as AttachedFile
    from postbearer.message.files import Disposition as Disposition
    from postbearer.message.files import type_by_name as type_by_name
    from postbearer.message.given import author_of as author_of
    from postbearer.message.given import envelope_of as envelope_of
    from postbearer.message.given import to_bytes as to_bytes
    from postbearer.message.header_section import HeaderReader as HeaderReader
    from postbearer.message.header_section import cut_header as cut_header
    from postbearer.message.mailboxes import Mailbox as Mailbox
    from postbearer.message.mailboxes import parse_mailboxes as parse_mailboxes
    from postbearer.message.parsed import ParsedHeader as ParsedHeader
    from postbearer.message.recipients import HIDDEN as HIDDEN
    from postbearer.message.recipients import naming_recipients as naming_recipients
    from postbearer.message.report import Action as Action
    from postbearer.message.report import DeliveryReport as DeliveryReport
    from postbearer.message.report import ReportedRecipient as ReportedRecipient
    from postbearer.message.sender import SenderRule as SenderRule

_EXPORTS = {
    "author": ["authors", "claimed"],
    "compose": ["Composed", "Draft"],
    "content": ["BLOCK", "BytesContent", "Content", "FileContent", "Scanner", "Traits", "has_bare_line_ends"],
    "conversion": ["Conversion", "convert"],
    "edited": ["edit", "edit_and_read", "parse_header", "read_header", "with_header"],
    "encoded_words": ["decoded"],
    "fields": ["Header"],
    "files": ["AttachedFile", "Disposition", "type_by_name"],
    "given": ["author_of", "envelope_of", "to_bytes"],
    "header_section": ["HeaderReader", "cut_header"],
    "mailboxes": ["Mailbox", "parse_mailboxes"],
    "parsed": ["ParsedHeader"],
    "recipients": ["HIDDEN", "naming_recipients"],
    "report": ["Action", "DeliveryReport", "ReportedRecipient"],
    "sender": ["SenderRule"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
