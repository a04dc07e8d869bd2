-- Who has connections to providers open, so that all together keep to what a mailbox may have.

CREATE TABLE connection_holder (
  name text COLLATE "C" PRIMARY KEY,            -- of a process, never given again
  node text COLLATE "C" NOT NULL DEFAULT '',    -- of a relay
  ends double precision NOT NULL                -- until then it holds what it has, on the clock of the database
);

CREATE TABLE connection (
  mailbox text COLLATE "C" NOT NULL,
  holder  text COLLATE "C" NOT NULL REFERENCES connection_holder ON DELETE CASCADE,
  number  integer NOT NULL,           -- within its process, which may have several accounts of a mailbox
  held    integer NOT NULL,           -- so many may be open there
  wanted  integer NOT NULL,
  since   double precision NOT NULL,  -- it holds any, or waits for one
  asked   double precision NOT NULL,
  PRIMARY KEY (mailbox, holder, number)
);

CREATE INDEX connection_holder_of ON connection (holder);
CREATE INDEX connection_wanted ON connection (mailbox) WHERE wanted > held;
