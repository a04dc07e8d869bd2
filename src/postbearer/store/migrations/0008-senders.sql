-- Whom each message names as its author and its sender, in one place: to look for a part of an address in all
-- messages is a walk through this, and not through all that is known of them.
CREATE INDEX message_senders
    ON message (author, iif(json_valid(envelope), envelope ->> '$.reverse_path', ''));
