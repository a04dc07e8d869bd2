-- When a message is to leave at the earliest, the names and values that its client gave it, and counts for charts.
ALTER TABLE message ADD COLUMN send_at double precision;
ALTER TABLE message ADD COLUMN tags text COLLATE "C" NOT NULL DEFAULT '[]';  -- JSON: pairs

CREATE INDEX message_send_at ON message (send_at) WHERE send_at IS NOT NULL;

-- So many recipients came into a state in a minute; several rows for one minute, as rows are only added.
CREATE TABLE traffic (
  minute bigint NOT NULL,  -- Unix seconds at which it begins
  state  text COLLATE "C" NOT NULL,
  count  bigint NOT NULL
);

CREATE INDEX traffic_minute ON traffic (minute);
