-- The queue. Times are wall clock, Unix seconds; states are single letters, so that a mark never
-- changes the size of its row, and rows that get marks are narrow: no content, no texts of servers.
--
-- recipient.state: r ready · d deferred · h held · o delivered · f failed · e expired · c cancelled
-- delivery.state:  w waits for its turn · l leased · h held · x all its recipients are final

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO meta VALUES ('clean', 1), ('run', 0);

CREATE TABLE message (
  number     INTEGER PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,
  accepted   REAL NOT NULL,
  client     TEXT NOT NULL,
  envelope   TEXT NOT NULL,  -- JSON
  received   TEXT NOT NULL,
  size       INTEGER NOT NULL,
  sha256     TEXT NOT NULL,
  eight_bit  INTEGER NOT NULL,
  binary     INTEGER NOT NULL,
  expires    REAL NOT NULL,
  message_id TEXT NOT NULL,
  author     TEXT NOT NULL,
  subject    TEXT NOT NULL,
  report_of  TEXT NOT NULL
);

CREATE INDEX message_accepted ON message (accepted);

-- Number of the message times 2^20, plus the number of the chunk: one key, appended in order.
CREATE TABLE content (
  place INTEGER PRIMARY KEY,
  data  BLOB NOT NULL
);

-- Numbers of messages whose content comes in; what is listed here after a restart was never accepted.
CREATE TABLE staged (
  number INTEGER PRIMARY KEY
);

CREATE TABLE delivery (
  id          INTEGER PRIMARY KEY,
  message     INTEGER NOT NULL,
  account     TEXT NOT NULL,
  priority    INTEGER NOT NULL,
  client      TEXT NOT NULL,
  due         REAL NOT NULL,
  state       TEXT NOT NULL DEFAULT 'w',
  lease       INTEGER NOT NULL DEFAULT 0,
  attempt     INTEGER NOT NULL DEFAULT 0,
  warned      INTEGER NOT NULL DEFAULT 0,
  first_tried REAL NOT NULL DEFAULT 0,  -- no longer read or written
  ended       REAL NOT NULL DEFAULT 0
);

CREATE INDEX delivery_lane ON delivery (account, priority, client, due) WHERE state = 'w';
CREATE INDEX delivery_leased ON delivery (lease) WHERE state = 'l';
CREATE INDEX delivery_ended ON delivery (ended) WHERE state = 'x';
CREATE INDEX delivery_message ON delivery (message);

CREATE TABLE recipient (
  id       INTEGER PRIMARY KEY,
  delivery INTEGER NOT NULL,
  state    TEXT NOT NULL DEFAULT 'r',
  unknown  INTEGER NOT NULL DEFAULT 0,  -- a copy may have arrived
  address  TEXT NOT NULL,
  notify   TEXT NOT NULL,
  orcpt    TEXT NOT NULL
);

CREATE INDEX recipient_delivery ON recipient (delivery);

-- What the server said about a recipient last.
CREATE TABLE answer (
  recipient INTEGER PRIMARY KEY,
  reply     TEXT NOT NULL,
  cause     TEXT NOT NULL,
  remedy    TEXT NOT NULL
);

CREATE TABLE attempt (
  delivery INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  began    REAL NOT NULL,
  ended    REAL,
  unknown  INTEGER NOT NULL DEFAULT 0,
  server   TEXT NOT NULL DEFAULT '',
  queue_id TEXT NOT NULL DEFAULT '',
  error    TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

CREATE TABLE pause (
  account TEXT PRIMARY KEY,
  since   REAL NOT NULL,
  reason  TEXT NOT NULL,
  remedy  TEXT NOT NULL,
  probe   REAL,
  probes  INTEGER NOT NULL
) WITHOUT ROWID;
