-- How many recipients of each account are in each state, so that nobody has to count a million of them.
-- Kept by triggers: no statement can forget it, and it is rolled back with what it counts.
CREATE TABLE tally (
  account TEXT NOT NULL,
  state   TEXT NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (account, state)
) WITHOUT ROWID;

INSERT INTO tally
SELECT delivery.account, recipient.state, count(*)
  FROM recipient JOIN delivery ON delivery.id = recipient.delivery
 GROUP BY 1, 2;

CREATE TRIGGER recipient_added AFTER INSERT ON recipient BEGIN
  INSERT INTO tally SELECT account, new.state, 1 FROM delivery WHERE id = new.delivery
      ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER recipient_changed AFTER UPDATE OF state ON recipient WHEN old.state <> new.state BEGIN
  UPDATE tally SET count = count - 1
   WHERE account = (SELECT account FROM delivery WHERE id = old.delivery) AND state = old.state;
  INSERT INTO tally SELECT account, new.state, 1 FROM delivery WHERE id = new.delivery
      ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER recipient_removed AFTER DELETE ON recipient BEGIN
  UPDATE tally SET count = count - 1
   WHERE account = (SELECT account FROM delivery WHERE id = old.delivery) AND state = old.state;
END;

CREATE TRIGGER delivery_moved AFTER UPDATE OF account ON delivery WHEN old.account <> new.account BEGIN
  UPDATE tally
     SET count = count - (SELECT count(*) FROM recipient WHERE delivery = old.id AND recipient.state = tally.state)
   WHERE account = old.account;
  INSERT INTO tally SELECT new.account, state, count(*) FROM recipient WHERE delivery = new.id GROUP BY state
      ON CONFLICT DO UPDATE SET count = count + excluded.count;
END;

CREATE INDEX delivery_held ON delivery (message) WHERE state = 'h';
