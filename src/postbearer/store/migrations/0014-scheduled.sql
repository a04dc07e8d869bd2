-- What is not to leave before a time that its client named. The row stays behind that time, as the life of the
-- message counts from there.
CREATE TABLE scheduled (
  message INTEGER PRIMARY KEY,
  send_at REAL NOT NULL
);

CREATE INDEX scheduled_send_at ON scheduled (send_at);

-- Names and values that a client gave a message, to find it by.
CREATE TABLE tag (
  message INTEGER NOT NULL,
  name    TEXT NOT NULL,
  value   TEXT NOT NULL,
  PRIMARY KEY (message, name, value)
) WITHOUT ROWID;

CREATE INDEX tag_value ON tag (name, value, message);
