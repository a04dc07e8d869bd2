-- How far each webhook is: all events up to `position` have arrived, are not wanted, or stand in `webhook_event`.
-- Times are wall clock, Unix seconds. `failing`: since when nothing arrives; `disabled`: why nothing is sent.
CREATE TABLE webhook (
  name        TEXT PRIMARY KEY,
  position    INTEGER NOT NULL,
  arrived     REAL,
  failing     REAL,
  error       TEXT NOT NULL DEFAULT '',
  disabled    TEXT NOT NULL DEFAULT '',
  disabled_at REAL,
  dropped     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Events that are sent again, and those behind them of the same message.
CREATE TABLE webhook_event (
  webhook TEXT NOT NULL,
  number  INTEGER NOT NULL,
  message TEXT NOT NULL,
  since   REAL NOT NULL,
  due     REAL NOT NULL,
  tries   INTEGER NOT NULL,
  PRIMARY KEY (webhook, number)
) WITHOUT ROWID;
