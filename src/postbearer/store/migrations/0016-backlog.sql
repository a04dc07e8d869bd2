-- Since when a delivery might have left: accepted, or the time that its client named (`timed`). It stands with the
-- delivery, so that what is counted by it needs no look at its message. (`first_tried` was no longer used.)
ALTER TABLE delivery RENAME COLUMN first_tried TO since;
ALTER TABLE delivery ADD COLUMN timed INTEGER NOT NULL DEFAULT 0;

UPDATE delivery
   SET since = coalesce((SELECT max(message.accepted, coalesce(send_at, 0))
                           FROM message LEFT JOIN scheduled ON scheduled.message = message.number
                          WHERE message.number = delivery.message), 0),
       timed = EXISTS (SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message)
 WHERE state <> 'x';

CREATE INDEX delivery_held_since ON delivery (timed, since) WHERE state = 'h';

-- How many messages wait for each account, by the second since when they might have left: not those under way, which are
-- few. A message counts once for an account, however many deliveries it has there.
CREATE TABLE backlog (
  account  TEXT NOT NULL,
  timed    INTEGER NOT NULL,
  second   INTEGER NOT NULL,  -- Unix seconds
  messages INTEGER NOT NULL,
  PRIMARY KEY (account, timed, second)
) WITHOUT ROWID;

INSERT INTO backlog
SELECT account, timed, CAST(since AS INTEGER), count(DISTINCT message)
  FROM delivery WHERE state = 'w' GROUP BY 1, 2, 3;

-- The one that was added last mostly leaves last, so that another one is found at once.
CREATE TRIGGER backlog_added AFTER INSERT ON delivery
WHEN new.state = 'w' AND NOT EXISTS (
  SELECT 1 FROM delivery AS other
   WHERE other.message = new.message AND other.id <> new.id AND other.state = 'w'
     AND other.account = new.account AND other.since = new.since
   ORDER BY other.id DESC LIMIT 1)
BEGIN
  INSERT INTO backlog VALUES (new.account, new.timed, CAST(new.since AS INTEGER), 1)
      ON CONFLICT DO UPDATE SET messages = messages + 1;
END;

CREATE TRIGGER backlog_left AFTER UPDATE OF state, account, since, timed ON delivery
WHEN old.state = 'w' AND (new.state <> 'w' OR new.account <> old.account
                       OR new.since <> old.since OR new.timed <> old.timed)
 AND NOT EXISTS (
  SELECT 1 FROM delivery AS other
   WHERE other.message = old.message AND other.id <> old.id AND other.state = 'w'
     AND other.account = old.account AND other.since = old.since
   ORDER BY other.id DESC LIMIT 1)
BEGIN
  UPDATE backlog SET messages = messages - 1
   WHERE account = old.account AND timed = old.timed AND second = CAST(old.since AS INTEGER);
END;

CREATE TRIGGER backlog_entered AFTER UPDATE OF state, account, since, timed ON delivery
WHEN new.state = 'w' AND (old.state <> 'w' OR new.account <> old.account
                       OR new.since <> old.since OR new.timed <> old.timed)
 AND NOT EXISTS (
  SELECT 1 FROM delivery AS other
   WHERE other.message = new.message AND other.id <> new.id AND other.state = 'w'
     AND other.account = new.account AND other.since = new.since
   ORDER BY other.id DESC LIMIT 1)
BEGIN
  INSERT INTO backlog VALUES (new.account, new.timed, CAST(new.since AS INTEGER), 1)
      ON CONFLICT DO UPDATE SET messages = messages + 1;
END;

-- Recipients that wait for a time are counted by it, as `s` with that time behind: that it has passed is not written.
DROP TRIGGER recipient_added;
DROP TRIGGER recipient_changed;
DROP TRIGGER recipient_removed;
DROP TRIGGER delivery_moved;

INSERT INTO tally
SELECT account, 's' || since, count(*)
  FROM delivery JOIN recipient ON recipient.delivery = delivery.id
 WHERE delivery.state <> 'x' AND timed AND recipient.state = 'r'
 GROUP BY 1, 2;

UPDATE tally
   SET count = count - coalesce((SELECT sum(timed.count) FROM tally AS timed
                                  WHERE timed.account = tally.account AND timed.state > 's' AND timed.state < 't'), 0)
 WHERE state = 'r';

CREATE TRIGGER recipient_added AFTER INSERT ON recipient BEGIN
  INSERT INTO tally SELECT account, iif(new.state = 'r' AND timed, 's' || since, new.state), 1
                      FROM delivery WHERE id = new.delivery
      ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER recipient_changed AFTER UPDATE OF state ON recipient WHEN old.state <> new.state BEGIN
  UPDATE tally SET count = count - 1
   WHERE (account, state) = (SELECT account, iif(old.state = 'r' AND timed, 's' || since, old.state)
                               FROM delivery WHERE id = old.delivery);
  INSERT INTO tally SELECT account, iif(new.state = 'r' AND timed, 's' || since, new.state), 1
                      FROM delivery WHERE id = new.delivery
      ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER recipient_removed AFTER DELETE ON recipient BEGIN
  UPDATE tally SET count = count - 1
   WHERE (account, state) = (SELECT account, iif(old.state = 'r' AND timed, 's' || since, old.state)
                               FROM delivery WHERE id = old.delivery);
END;

CREATE TRIGGER delivery_moved AFTER UPDATE OF account, since, timed ON delivery
WHEN old.account <> new.account OR old.since <> new.since OR old.timed <> new.timed BEGIN
  INSERT INTO tally SELECT old.account, iif(state = 'r' AND old.timed, 's' || old.since, state), -count(*)
                      FROM recipient WHERE delivery = old.id GROUP BY 2
      ON CONFLICT DO UPDATE SET count = count + excluded.count;
  INSERT INTO tally SELECT new.account, iif(state = 'r' AND new.timed, 's' || new.since, state), count(*)
                      FROM recipient WHERE delivery = new.id GROUP BY 2
      ON CONFLICT DO UPDATE SET count = count + excluded.count;
END;
