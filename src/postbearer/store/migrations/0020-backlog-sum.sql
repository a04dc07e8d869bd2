-- How many messages wait for each account and no time: the sum over all seconds of `backlog`, which may be very many.
CREATE TABLE backlog_sum (
  account  TEXT PRIMARY KEY,
  messages INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO backlog_sum SELECT account, sum(messages) FROM backlog WHERE timed = 0 GROUP BY account;

CREATE TRIGGER backlog_summed AFTER INSERT ON backlog WHEN new.timed = 0 BEGIN
  INSERT INTO backlog_sum VALUES (new.account, new.messages)
      ON CONFLICT DO UPDATE SET messages = messages + excluded.messages;
END;

CREATE TRIGGER backlog_changed AFTER UPDATE OF messages ON backlog WHEN new.timed = 0 BEGIN
  UPDATE backlog_sum SET messages = messages + new.messages - old.messages WHERE account = new.account;
END;

CREATE TRIGGER backlog_dropped AFTER DELETE ON backlog WHEN old.timed = 0 AND old.messages <> 0 BEGIN
  UPDATE backlog_sum SET messages = messages - old.messages WHERE account = old.account;
END;
