-- Every change of a recipient's state, in the order of the commits that made them, for who follows them. Written by
-- triggers of the connection that writes (`sql/events.sql`), while `events` is set. The last row is never removed,
-- so that no number comes twice.
CREATE TABLE event (
  number    INTEGER PRIMARY KEY,
  at        REAL NOT NULL,
  message   TEXT NOT NULL,
  client    TEXT NOT NULL,
  account   TEXT NOT NULL,
  recipient TEXT NOT NULL,
  state     TEXT NOT NULL,
  unknown   INTEGER NOT NULL,
  said      TEXT NOT NULL
);

INSERT INTO meta VALUES ('events', 0);
