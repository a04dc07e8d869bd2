-- How many recipients came into each state in each minute, so that charts go on over a restart and nobody has to count
-- changes one by one. Written by triggers of the connection that writes (`sql/events.sql`), while `events` is set.
CREATE TABLE traffic (
  minute INTEGER NOT NULL,  -- Unix seconds at which it begins
  state  TEXT NOT NULL,
  count  INTEGER NOT NULL,
  PRIMARY KEY (minute, state)
) WITHOUT ROWID;
