-- What came after: reports about a message, and what people did to it. Few messages have either.
CREATE INDEX message_report ON message (report_of) WHERE report_of <> '';
CREATE INDEX audit_message ON audit (message, number) WHERE message <> '';

-- How many recipients of a message for very many are in each state: kept for those only, as others are soon counted.
CREATE TABLE fate (
  message INTEGER NOT NULL,
  state   TEXT NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (message, state)
) WITHOUT ROWID;

INSERT INTO fate
SELECT delivery.message, recipient.state, count(*)
  FROM delivery JOIN recipient ON recipient.delivery = delivery.id
 WHERE delivery.message IN (SELECT number FROM message WHERE octet_length(envelope) > 262144)
 GROUP BY 1, 2;

CREATE TRIGGER fate_changed AFTER UPDATE OF state ON recipient
WHEN old.state <> new.state
 AND EXISTS (SELECT 1 FROM delivery JOIN fate ON fate.message = delivery.message WHERE delivery.id = new.delivery)
BEGIN
  INSERT INTO fate SELECT message, old.state, -1 FROM delivery WHERE id = new.delivery
      ON CONFLICT DO UPDATE SET count = count - 1;
  INSERT INTO fate SELECT message, new.state, 1 FROM delivery WHERE id = new.delivery
      ON CONFLICT DO UPDATE SET count = count + 1;
END;
