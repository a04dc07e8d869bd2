-- The queue. Times are Unix seconds; states are the letters of `store/rows.py`.
--
-- A message, its content and its deliveries live in one of 8 slots, and what is finished goes by emptying a slot as a
-- whole. Numbers are made by the nodes: a run, a count, and in the last six bits the slot.

CREATE TABLE meta (
  name  text COLLATE "C" PRIMARY KEY,
  value double precision NOT NULL
);

-- slot, ring: where what is new goes. retired: what came to its end before that is gone for everybody.
INSERT INTO meta VALUES ('slot', 0), ('slot_since', 0), ('ring', 0), ('ring_since', 0), ('retired', 0), ('events', 0);

CREATE SEQUENCE run AS bigint;

-- Moves on after commits that other nodes should look at.
CREATE SEQUENCE change AS bigint;

CREATE TABLE message (
  slot       smallint NOT NULL,
  number     bigint NOT NULL,
  id         text COLLATE "C" NOT NULL,
  accepted   double precision NOT NULL,
  client     text COLLATE "C" NOT NULL,
  envelope   text COLLATE "C" NOT NULL,  -- JSON
  received   text COLLATE "C" NOT NULL,
  size       bigint NOT NULL,
  sha256     text COLLATE "C" NOT NULL,
  eight_bit  boolean NOT NULL,
  is_binary  boolean NOT NULL,
  expires    double precision NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  author     text COLLATE "C" NOT NULL,
  subject    text COLLATE "C" NOT NULL,
  report_of  text COLLATE "C" NOT NULL,
  people     text COLLATE "C" NOT NULL,  -- sender, author and recipients, folded, one a line
  PRIMARY KEY (slot, number),
  UNIQUE (slot, id)
) PARTITION BY LIST (slot);

CREATE INDEX message_accepted ON message (accepted, number);

CREATE TABLE content (
  slot    smallint NOT NULL,
  message bigint NOT NULL,
  chunk   integer NOT NULL,
  data    bytea NOT NULL,
  PRIMARY KEY (slot, message, chunk)
) PARTITION BY LIST (slot);

-- What a mark changes stands in no index, so that a mark leaves nothing behind in one (a HOT update).
--
-- state: w waits for its turn · l leased · h held · x all its recipients are final
CREATE TABLE delivery (
  slot       smallint NOT NULL,
  number     bigint NOT NULL,
  message    bigint NOT NULL,
  priority   smallint NOT NULL,
  client     text COLLATE "C" NOT NULL,
  account    text COLLATE "C" NOT NULL,
  state      text COLLATE "C" NOT NULL,
  turn       integer NOT NULL DEFAULT 0,  -- how often it came to wait: of its rows in `ready`, the last one counts
  due        double precision NOT NULL,
  lease      bigint NOT NULL DEFAULT 0,
  attempt    integer NOT NULL DEFAULT 0,
  began      double precision NOT NULL DEFAULT 0,
  ended      double precision NOT NULL DEFAULT 0,
  warned     boolean NOT NULL DEFAULT false,
  states     text COLLATE "C" NOT NULL,  -- a letter for each recipient
  doubts     text COLLATE "C" NOT NULL,  -- for each: 1 where a copy may have arrived
  recipients text COLLATE "C" NOT NULL,  -- JSON: address, NOTIFY and ORCPT of each
  PRIMARY KEY (slot, number)
) PARTITION BY LIST (slot);

CREATE INDEX delivery_message ON delivery (message);

-- Attempts that are over, and what was said about recipients in them. The one under way stands in `delivery`.
CREATE TABLE outcome (
  slot     smallint NOT NULL,
  delivery bigint NOT NULL,
  lease    bigint NOT NULL,
  attempt  integer NOT NULL,
  counted  boolean NOT NULL,
  began    double precision NOT NULL,
  ended    double precision NOT NULL,
  doubtful boolean NOT NULL,
  server   text COLLATE "C" NOT NULL,
  queue_id text COLLATE "C" NOT NULL,
  error    text COLLATE "C" NOT NULL,
  said     text COLLATE "C" NOT NULL,  -- JSON: of some recipients their place, reply, cause and remedy
  PRIMARY KEY (slot, delivery, lease)
) PARTITION BY LIST (slot);

-- The order in which deliveries wait. Rows are only added; one counts while its delivery waits in that very turn. A
-- ring of parts, each emptied when nothing in it counts any more.
CREATE TABLE ready (
  ring     smallint NOT NULL,
  account  text COLLATE "C" NOT NULL,
  priority smallint NOT NULL,
  client   text COLLATE "C" NOT NULL,
  due      double precision NOT NULL,
  delivery bigint NOT NULL,
  turn     integer NOT NULL
) PARTITION BY LIST (ring);

CREATE INDEX ready_lane ON ready (account, priority, client, due, delivery);

DO $$
BEGIN
  FOR part IN 0..7 LOOP
    EXECUTE format('CREATE TABLE message_%1$s PARTITION OF message FOR VALUES IN (%1$s)', part);
    EXECUTE format('CREATE TABLE content_%1$s PARTITION OF content FOR VALUES IN (%1$s)', part);
    EXECUTE format('ALTER TABLE content_%1$s ALTER data SET STORAGE EXTERNAL', part);
    EXECUTE format('ALTER TABLE content_%1$s SET (toast_tuple_target = 8160)', part);
    EXECUTE format('CREATE TABLE delivery_%1$s PARTITION OF delivery FOR VALUES IN (%1$s) WITH (fillfactor = 40)', part);
    EXECUTE format('CREATE TABLE outcome_%1$s PARTITION OF outcome FOR VALUES IN (%1$s)', part);
  END LOOP;
  FOR part IN 0..3 LOOP
    EXECUTE format('CREATE TABLE ready_%1$s PARTITION OF ready FOR VALUES IN (%1$s)', part);
  END LOOP;
END
$$;

-- What a client asked to be accepted once only; `message` is the id that it was told first.
CREATE TABLE idempotency (
  client  text COLLATE "C" NOT NULL,
  key     text COLLATE "C" NOT NULL,
  digest  text COLLATE "C" NOT NULL,
  message text COLLATE "C" NOT NULL,
  created double precision NOT NULL,
  PRIMARY KEY (client, key)
);

CREATE INDEX idempotency_created ON idempotency (created);

CREATE TABLE pause (
  account text COLLATE "C" PRIMARY KEY,
  since   double precision NOT NULL,
  reason  text COLLATE "C" NOT NULL,
  remedy  text COLLATE "C" NOT NULL,
  probe   double precision,
  probes  integer NOT NULL
);

-- A row for each run of a node. All that it leased is anybody's to take after `expires`, on the clock of the database.
CREATE TABLE node (
  run     bigint PRIMARY KEY,
  name    text COLLATE "C" NOT NULL,
  expires double precision NOT NULL,
  stopped boolean NOT NULL DEFAULT false
);

-- What a node found when it began, or took over, and did not tell yet: ids of messages that may be delivered twice;
-- an empty one says that its last run did not end properly.
CREATE TABLE untold (
  node    text COLLATE "C" NOT NULL,
  number  bigint GENERATED ALWAYS AS IDENTITY,
  message text COLLATE "C" NOT NULL,
  PRIMARY KEY (node, number)
);

-- Every change of a recipient's state. The number is that of the transaction times 2^20, and a count: whoever reads up
-- to the oldest transaction that is still open misses none.
CREATE TABLE event (
  number    bigint PRIMARY KEY,
  at        double precision NOT NULL,
  message   text COLLATE "C" NOT NULL,
  client    text COLLATE "C" NOT NULL,
  account   text COLLATE "C" NOT NULL,
  recipient text COLLATE "C" NOT NULL,
  state     text COLLATE "C" NOT NULL,
  doubtful  boolean NOT NULL,
  said      text COLLATE "C" NOT NULL
);
