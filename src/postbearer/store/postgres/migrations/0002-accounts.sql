-- What accounts keep: tokens, sealed before they come here; what mailboxes were charged with; notes.

CREATE TABLE token (
  account text COLLATE "C" PRIMARY KEY,
  version integer NOT NULL DEFAULT 0,
  record  bytea,                                -- as the files of other installations have it
  holder  text COLLATE "C" NOT NULL DEFAULT '', -- who renews it …
  held    double precision NOT NULL DEFAULT 0,  -- … until then, on the clock of the database
  person  text COLLATE "C" NOT NULL DEFAULT '', -- who signs in
  signing double precision NOT NULL DEFAULT 0   -- the same
);

CREATE TABLE budget (
  mailbox text COLLATE "C" PRIMARY KEY,
  last    bigint NOT NULL DEFAULT 0,  -- number of its last row in `charge`
  turns   bytea
);

CREATE TABLE charge (
  mailbox    text COLLATE "C" NOT NULL,
  number     bigint NOT NULL,
  at         double precision NOT NULL,  -- on the clock of the database
  recipients integer NOT NULL,
  undoes     bigint NOT NULL DEFAULT 0,  -- not made: the number of another row, which was given back
  PRIMARY KEY (mailbox, number)
);

CREATE INDEX charge_at ON charge (mailbox, at);

CREATE TABLE document (
  name text COLLATE "C" PRIMARY KEY,
  data bytea NOT NULL
);
