-- What people did, jobs over many messages, and how far webhooks are: as in the queue in a file.

CREATE TABLE audit (
  number    bigint PRIMARY KEY,
  at        double precision NOT NULL,
  "by"      text COLLATE "C" NOT NULL,
  known_by  text COLLATE "C" NOT NULL,
  action    text COLLATE "C" NOT NULL,
  account   text COLLATE "C" NOT NULL,
  message   text COLLATE "C" NOT NULL,
  recipient text COLLATE "C" NOT NULL,
  detail    text COLLATE "C" NOT NULL,
  count     bigint NOT NULL,
  result    text COLLATE "C" NOT NULL,
  hash      text COLLATE "C" NOT NULL
);

CREATE TABLE job (
  number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id       text COLLATE "C" NOT NULL UNIQUE,
  action   text COLLATE "C" NOT NULL,
  matching text COLLATE "C" NOT NULL,  -- JSON
  account  text COLLATE "C" NOT NULL,
  "by"     text COLLATE "C" NOT NULL,
  known_by text COLLATE "C" NOT NULL,
  created  double precision NOT NULL,
  matched  bigint NOT NULL,
  done     bigint NOT NULL DEFAULT 0,
  changed  bigint NOT NULL DEFAULT 0,
  refused  bigint NOT NULL DEFAULT 0,
  state    text COLLATE "C" NOT NULL DEFAULT 'running',
  ended    double precision,
  error    text COLLATE "C" NOT NULL DEFAULT '',
  place    bigint NOT NULL,
  last     bigint NOT NULL
);

CREATE TABLE webhook (
  name        text COLLATE "C" PRIMARY KEY,
  position    bigint NOT NULL,
  arrived     double precision,
  failing     double precision,
  error       text COLLATE "C" NOT NULL,
  disabled    text COLLATE "C" NOT NULL,
  disabled_at double precision,
  dropped     bigint NOT NULL
);

CREATE TABLE webhook_event (
  webhook text COLLATE "C" NOT NULL,
  number  bigint NOT NULL,
  message text COLLATE "C" NOT NULL,
  since   double precision NOT NULL,
  due     double precision NOT NULL,
  tries   integer NOT NULL,
  PRIMARY KEY (webhook, number)
);

ALTER TABLE node ADD COLUMN version text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN since double precision NOT NULL DEFAULT 0;
