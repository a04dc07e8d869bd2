"""Configurations of other programs, said in ours; what cannot be said is named, with what to do."""

from typing import TYPE_CHECKING

from postbearer._lazy import lazy

if TYPE_CHECKING:
    from postbearer.importing.draft import LARGEST as LARGEST
    from postbearer.importing.draft import ImportedConfiguration as ImportedConfiguration
    from postbearer.importing.draft import Remark as Remark
    from postbearer.importing.draft import bounded as bounded
    from postbearer.importing.dsconfig import read_dsconfig as read_dsconfig
    from postbearer.importing.emailproxy import read_emailproxy as read_emailproxy
    from postbearer.importing.environment import read_environment as read_environment
    from postbearer.importing.msmtp import read_msmtp as read_msmtp
    from postbearer.importing.portal import URGENT as URGENT
    from postbearer.importing.portal import parse_map as parse_map
    from postbearer.importing.portal import read_portal as read_portal
    from postbearer.importing.saslxoauth2 import read_saslxoauth2 as read_saslxoauth2
    from postbearer.importing.smtp2graph import read_smtp2graph as read_smtp2graph
    from postbearer.importing.validation import Imported as Imported
    from postbearer.importing.validation import finish as finish
    from postbearer.importing.validation import in_source as in_source
    from postbearer.importing.validation import parse_settings as parse_settings
    from postbearer.importing.validation import settle as settle

_EXPORTS = {
    "draft": ["LARGEST", "ImportedConfiguration", "Remark", "bounded"],
    "dsconfig": ["read_dsconfig"],
    "emailproxy": ["read_emailproxy"],
    "environment": ["read_environment"],
    "msmtp": ["read_msmtp"],
    "portal": ["URGENT", "parse_map", "read_portal"],
    "saslxoauth2": ["read_saslxoauth2"],
    "smtp2graph": ["read_smtp2graph"],
    "validation": ["Imported", "finish", "in_source", "parse_settings", "settle"],
}

__getattr__, __all__ = lazy(__name__, _EXPORTS)
