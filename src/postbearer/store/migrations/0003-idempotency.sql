-- What a client asked to be accepted once only. `digest` is of what it sent, as what was made of that may
-- differ each time; `message` is the id that it was told first, also when the message is gone already.
CREATE TABLE idempotency (
  number  INTEGER PRIMARY KEY,
  client  TEXT NOT NULL,
  key     TEXT NOT NULL,
  digest  TEXT NOT NULL,
  message TEXT NOT NULL,
  created REAL NOT NULL,
  UNIQUE (client, key)
);

CREATE INDEX idempotency_created ON idempotency (created);
