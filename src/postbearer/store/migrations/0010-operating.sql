-- What people did. Each row carries the hash of the one before in its own, so that none can be changed, or taken
-- out of the middle, without a trace. Only ever appended to; the oldest go. The number of the last is never reused.
CREATE TABLE audit (
  number    INTEGER PRIMARY KEY,
  at        REAL NOT NULL,
  by        TEXT NOT NULL,
  known_by  TEXT NOT NULL,
  action    TEXT NOT NULL,
  account   TEXT NOT NULL,
  message   TEXT NOT NULL,
  recipient TEXT NOT NULL,
  detail    TEXT NOT NULL,
  count     INTEGER NOT NULL,
  result    TEXT NOT NULL,
  hash      TEXT NOT NULL
);

-- Actions on all messages that match (`matching` is JSON), which go on where they were after a restart: behind the
-- number `place` of a message, up to `last`.
CREATE TABLE job (
  number   INTEGER PRIMARY KEY,
  id       TEXT NOT NULL UNIQUE,
  action   TEXT NOT NULL,
  matching TEXT NOT NULL,
  account  TEXT NOT NULL,
  by       TEXT NOT NULL,
  known_by TEXT NOT NULL,
  created  REAL NOT NULL,
  matched  INTEGER NOT NULL,
  done     INTEGER NOT NULL DEFAULT 0,
  changed  INTEGER NOT NULL DEFAULT 0,
  refused  INTEGER NOT NULL DEFAULT 0,
  state    TEXT NOT NULL DEFAULT 'running',
  ended    REAL,
  error    TEXT NOT NULL DEFAULT '',
  place    INTEGER NOT NULL,
  last     INTEGER NOT NULL
);

CREATE INDEX job_running ON job (number) WHERE state = 'running';
