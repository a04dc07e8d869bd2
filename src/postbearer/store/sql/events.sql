-- name: record
-- Triggers, so that no statement can forget them, and of this connection only: `wall` is a function of ours.
CREATE TEMP TRIGGER IF NOT EXISTS event_of_new AFTER INSERT ON main.recipient BEGIN
  INSERT INTO event (at, message, client, account, recipient, state, unknown, said)
  SELECT wall(), message.id, message.client, delivery.account, new.address,
         iif(new.state = 'r' AND send_at > wall(), 's', new.state), new.unknown, ''
    FROM delivery
    JOIN message ON message.number = delivery.message
    LEFT JOIN scheduled ON scheduled.message = delivery.message
   WHERE delivery.id = new.delivery;
END;

CREATE TEMP TRIGGER IF NOT EXISTS event_of_change AFTER UPDATE OF state ON main.recipient
WHEN old.state <> new.state OR old.unknown < new.unknown BEGIN
  INSERT INTO event (at, message, client, account, recipient, state, unknown, said)
  SELECT wall(), message.id, message.client, delivery.account, new.address,
         iif(new.state = 'r' AND send_at > wall(), 's', new.state), new.unknown,
         iif(new.state IN ('o', 'd', 'f', 'e') AND old.unknown = new.unknown,
             coalesce((SELECT iif(reply = '', cause, reply) FROM answer WHERE recipient = new.id), ''), '')
    FROM delivery
    JOIN message ON message.number = delivery.message
    LEFT JOIN scheduled ON scheduled.message = delivery.message
   WHERE delivery.id = new.delivery;
END;

CREATE TEMP TRIGGER IF NOT EXISTS event_of_move AFTER UPDATE OF account ON main.delivery
WHEN old.account <> new.account AND old.state <> 'l' BEGIN
  INSERT INTO event (at, message, client, account, recipient, state, unknown, said)
  SELECT wall(), message.id, message.client, new.account, recipient.address,
         iif(recipient.state = 'r' AND send_at > wall(), 's', recipient.state), recipient.unknown,
         'Moved from the account ' || old.account || '.'
    FROM recipient
    JOIN message ON message.number = new.message
    LEFT JOIN scheduled ON scheduled.message = new.message
   WHERE recipient.delivery = new.id AND recipient.state IN ('r', 'd', 'h');
END;

-- What is new counts as ready, even if it is held, and what is released or retried is not new.
CREATE TEMP TRIGGER traffic_of_new AFTER INSERT ON main.recipient BEGIN
  INSERT INTO traffic VALUES (CAST(wall() / 60 AS INTEGER) * 60, 'r', 1)
      ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TEMP TRIGGER traffic_of_change AFTER UPDATE OF state ON main.recipient
WHEN old.state <> new.state AND new.state <> 'r' BEGIN
  INSERT INTO traffic VALUES (CAST(wall() / 60 AS INTEGER) * 60, new.state, 1)
      ON CONFLICT DO UPDATE SET count = count + 1;
END;

-- name: traffic
SELECT CAST(minute AS INTEGER) / :width * :width, CAST(state AS BLOB), sum(CAST(count AS INTEGER))
  FROM traffic WHERE minute >= :since GROUP BY 1, 2 ORDER BY 1;

-- name: forget-traffic
DELETE FROM traffic WHERE minute < ?;

-- name: changes
SELECT number, CAST(at AS REAL), CAST(message AS BLOB), CAST(client AS BLOB), CAST(account AS BLOB),
       CAST(recipient AS BLOB), CAST(state AS BLOB), CAST(unknown AS INTEGER), CAST(said AS BLOB),
       (SELECT CAST(json_group_array(json_array(CAST(name AS TEXT), CAST(value AS TEXT))) AS BLOB)
          FROM message AS whose JOIN tag ON tag.message = whose.number WHERE whose.id = event.message)
  FROM event WHERE number > ? ORDER BY number LIMIT ?;

-- name: changes-of
-- A walk through all behind a number: for people, who ask for it by hand.
SELECT number, CAST(at AS REAL), CAST(message AS BLOB), CAST(client AS BLOB), CAST(account AS BLOB),
       CAST(recipient AS BLOB), CAST(state AS BLOB), CAST(unknown AS INTEGER), CAST(said AS BLOB),
       (SELECT CAST(json_group_array(json_array(CAST(name AS TEXT), CAST(value AS TEXT))) AS BLOB)
          FROM message AS whose JOIN tag ON tag.message = whose.number WHERE whose.id = event.message)
  FROM event WHERE number > ? AND message = ? ORDER BY number LIMIT ?;

-- name: first-since
-- The same.
SELECT min(number) FROM event WHERE at >= ?;

-- name: bounds
SELECT coalesce(min(number), 0), coalesce(max(number), 0) FROM event;

-- name: forget
-- From the oldest on, and never the last. Up to the first that is not older than ?1, or that a webhook needs (from
-- number ?2 on) and that is not older than ?3.
DELETE FROM event WHERE number IN (
  SELECT number FROM event
   WHERE number < coalesce((SELECT number FROM event WHERE at >= ?1 OR (number >= ?2 AND at >= ?3)
                             ORDER BY number LIMIT 1),
                           (SELECT max(number) FROM event))
   ORDER BY number LIMIT ?4);
