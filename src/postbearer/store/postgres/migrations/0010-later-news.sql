-- What came after: reports about a message, and what people did to it. Few messages have either.
CREATE INDEX message_report ON message (report_of) WHERE report_of <> '';
CREATE INDEX audit_message ON audit (message, number) WHERE message <> '';
