-- name: next-number
SELECT max(
  coalesce((SELECT max(number) FROM message), 0),
  coalesce((SELECT max(number) FROM staged), 0)
) + 1;

-- name: newest
-- A damaged time is a text or a blob, and those come behind all numbers.
SELECT max(
  coalesce((SELECT max(accepted) FROM message WHERE accepted < ''), 0),
  coalesce((SELECT max(ended) FROM delivery INDEXED BY delivery_ended WHERE state = 'x' AND ended < ''), 0),
  (SELECT value FROM meta WHERE name = 'seen')
);

-- name: stage
INSERT INTO staged VALUES (?);

-- name: unstage
DELETE FROM staged WHERE number = ?;

-- name: add-chunk
INSERT INTO content VALUES (?, ?);

-- name: drop-chunks
DELETE FROM content WHERE place IN (
  SELECT place FROM content WHERE place >= ?1 << 20 AND place < (?1 + 1) << 20 LIMIT ?2);

-- name: drop-filling
DELETE FROM content WHERE place = -1;

-- name: add-message
INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add-fates
INSERT INTO fate
SELECT delivery.message, recipient.state, count(*)
  FROM delivery CROSS JOIN recipient ON recipient.delivery = delivery.id
 WHERE delivery.message = ? GROUP BY 1, 2;

-- name: drop-fates
DELETE FROM fate WHERE message = ?;

-- name: add-scheduled
INSERT OR REPLACE INTO scheduled VALUES (?, ?);

-- name: add-tag
INSERT OR REPLACE INTO tag VALUES (?, ?, ?);

-- name: key
SELECT CAST(digest AS BLOB), CAST(message AS BLOB) FROM idempotency WHERE client = ? AND key = ?;

-- name: add-key
INSERT INTO idempotency (client, key, digest, message, created) VALUES (?, ?, ?, ?, ?);

-- name: drop-keys
DELETE FROM idempotency WHERE number IN (
  SELECT number FROM idempotency
   WHERE created < ? AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = idempotency.message)
   ORDER BY created LIMIT ?);

-- name: add-delivery
INSERT INTO delivery (message, account, priority, client, due, state, lease, attempt, since, timed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add-recipient
INSERT INTO recipient (delivery, state, address, notify, orcpt) VALUES (?, ?, ?, ?, ?);

-- name: next-lane
-- The lane behind the one given and its first delivery: one step in the index, however long the lanes,
-- because the comparison names all its columns, and no due time is behind 9e999.
SELECT id, CAST(account AS BLOB), CAST(priority AS INTEGER), CAST(client AS BLOB), CAST(due AS REAL),
       concat_ws(' ', typeof(account), typeof(priority), typeof(client), typeof(due)),
       EXISTS (SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at = due)
  FROM delivery
 WHERE state = 'w' AND (account, priority, client, due) > (?, ?, ?, 9e999)
 ORDER BY account, priority, client, due LIMIT 1;

-- name: first-of-lane
SELECT id, CAST(account AS BLOB), CAST(priority AS INTEGER), CAST(client AS BLOB), CAST(due AS REAL),
       concat_ws(' ', typeof(account), typeof(priority), typeof(client), typeof(due)),
       EXISTS (SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at = due)
  FROM delivery
 WHERE state = 'w' AND account = ? AND priority = ? AND client = ? ORDER BY due LIMIT 1;

-- name: claim
SELECT id, message, CAST(attempt AS INTEGER), CAST(warned AS INTEGER) FROM delivery
 WHERE state = 'w' AND account = ? AND priority = ? AND client = ? AND due <= ?
 ORDER BY due LIMIT ?;

-- name: hold-damaged
UPDATE delivery SET state = 'h', account = ?, priority = 1, client = ?, due = ? WHERE id = ?;

-- name: damaged
SELECT CAST(account AS BLOB), CAST(client AS BLOB) FROM delivery WHERE id = ?;

-- name: hold-recipients-of
UPDATE recipient SET state = 'h' WHERE delivery = ? AND state IN ('r', 'd');

-- name: explain-held
INSERT OR REPLACE INTO answer
SELECT recipient.id, coalesce(answer.reply, ''), ?, ?
  FROM recipient LEFT JOIN answer ON answer.recipient = recipient.id
 WHERE recipient.delivery = ? AND recipient.state = 'h';

-- name: lease
UPDATE delivery SET state = 'l', lease = ?, attempt = ? WHERE id = ?;

-- name: open-attempt
INSERT OR REPLACE INTO attempt (delivery, number, began) VALUES (?, ?, ?);

-- name: late
SELECT delivery.id, delivery.message, CAST(delivery.priority AS INTEGER), CAST(delivery.client AS BLOB),
       CAST(delivery.attempt AS INTEGER)
  FROM delivery
  JOIN message ON message.number = delivery.message
  LEFT JOIN scheduled ON scheduled.message = delivery.message
 WHERE delivery.state = 'w' AND delivery.account = ? AND delivery.warned = 0
   AND coalesce(send_at, message.accepted) < ? AND delivery.id > ?
 ORDER BY delivery.id LIMIT ?;

-- name: warn
UPDATE delivery SET warned = 1 WHERE id = ? AND state = 'w' AND warned = 0;

-- name: targets
SELECT id, CAST(address AS BLOB), CAST(notify AS BLOB), CAST(orcpt AS BLOB)
  FROM recipient WHERE delivery = ? AND state IN ('r', 'd') ORDER BY id;

-- name: mark
UPDATE recipient SET state = ?, unknown = unknown OR ? WHERE id = ? AND delivery = ?;

-- name: answer
INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?);

-- name: close-attempt
UPDATE attempt SET ended = ?, unknown = ?, server = ?, queue_id = ?, error = ?
 WHERE delivery = ? AND number = ?;

-- name: add-transcript
INSERT OR REPLACE INTO transcript VALUES (?, ?, ?);

-- name: drop-transcripts
DELETE FROM transcript WHERE delivery = ?;

-- name: drop-attempt
DELETE FROM attempt WHERE delivery = ? AND number = ?;

-- name: states
SELECT CAST(state AS BLOB) FROM recipient WHERE delivery = ?;

-- name: settle
UPDATE delivery
   SET state = ?, lease = 0, due = coalesce(?, due), ended = ?, warned = warned OR ?,
       account = iif(? = '', account, ?), attempt = attempt - ?
 WHERE id = ? AND state = 'l' AND lease = ?;

-- name: release
UPDATE delivery SET state = ?, lease = 0, due = coalesce(?, due), ended = ? WHERE id = ?;

-- name: leased
SELECT delivery.id, CAST(delivery.lease AS INTEGER), CAST(delivery.attempt AS INTEGER), CAST(message.id AS BLOB)
  FROM delivery JOIN message ON message.number = delivery.message
 WHERE delivery.state = 'l';

-- name: ownerless
SELECT delivery.id, CAST(delivery.lease AS INTEGER), CAST(delivery.attempt AS INTEGER),
       CAST(message.id AS BLOB)
  FROM delivery JOIN message ON message.number = delivery.message
 WHERE delivery.state = 'l'
   AND NOT EXISTS (SELECT 1 FROM node WHERE run = CAST(delivery.lease AS INTEGER) >> 32);

-- name: add-node
INSERT INTO node (run, name, expires, version, since) VALUES (?, ?, ?, ?, ?);

-- name: renew-node
UPDATE node SET expires = ? WHERE run = ?;

-- name: drop-nodes
DELETE FROM node WHERE expires <= ? OR name = ? OR typeof(expires) <> 'real';

-- name: other-nodes
SELECT 1 FROM node WHERE run <> ? LIMIT 1;

-- name: doubt
UPDATE recipient SET state = 'd', unknown = 1 WHERE delivery = ? AND state IN ('r', 'd');

-- name: waiting-messages
SELECT count(DISTINCT message) FROM delivery WHERE state = 'w';

-- name: explain-all
INSERT OR REPLACE INTO answer
SELECT recipient.id, coalesce(answer.reply, ''), ?, ?
  FROM recipient LEFT JOIN answer ON answer.recipient = recipient.id
 WHERE recipient.state IN ('r', 'd');

-- name: hold-recipients
UPDATE recipient SET state = 'h', unknown = 1 WHERE state IN ('r', 'd');

-- name: hold-deliveries
UPDATE delivery SET state = 'h' WHERE state = 'w';

-- name: staged
SELECT number FROM staged;

-- name: is-staged
SELECT 1 FROM staged WHERE number = ?;

-- name: changeable
-- Also what a damaged state keeps from everybody else.
SELECT recipient.id, recipient.delivery, CAST(recipient.state AS BLOB), CAST(recipient.address AS BLOB),
       CAST(delivery.account AS BLOB)
  FROM message
  JOIN delivery ON delivery.message = message.number
  JOIN recipient ON recipient.delivery = delivery.id
 WHERE message.id = ? AND delivery.state <> 'l' AND recipient.state NOT IN ('o', 'f', 'e', 'c');

-- name: time-of
SELECT CAST(send_at AS REAL) FROM scheduled WHERE message = (SELECT number FROM message WHERE id = ?);

-- name: begin-life
-- Of a message whose time a person does not wait for: it is tried for as long as it would have been.
UPDATE message SET expires = expires - (send_at - ?2)
  FROM scheduled
 WHERE message.id = ?1 AND scheduled.message = message.number AND send_at > ?2;

-- name: forget-time
-- From then on it counts as what waits since it was accepted.
UPDATE delivery SET since = (SELECT accepted FROM message WHERE number = delivery.message), timed = 0
 WHERE message = (SELECT number FROM message WHERE id = ?1) AND timed
   AND EXISTS (SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at > ?2);

-- name: drop-time
DELETE FROM scheduled
 WHERE message = (SELECT number FROM message WHERE id = ?1) AND send_at > ?2;

-- name: set-state
UPDATE recipient SET state = ? WHERE id = ?;

-- name: drop-empty-seconds
DELETE FROM backlog WHERE messages = 0;

-- name: drop-empty-times
DELETE FROM tally WHERE count = 0 AND state > 's';

-- name: retirable
SELECT DISTINCT message FROM delivery AS one INDEXED BY delivery_ended
 WHERE state = 'x' AND ended < ?1
   AND NOT EXISTS (SELECT 1 FROM delivery AS other
                    WHERE other.message = one.message AND (other.state <> 'x' OR other.ended >= ?1))
 LIMIT ?2;

-- name: deliveries-of
SELECT id FROM delivery WHERE message = ?;

-- name: drop-answers
DELETE FROM answer WHERE recipient IN (SELECT id FROM recipient WHERE delivery = ?);

-- name: drop-recipients
DELETE FROM recipient WHERE delivery = ?;

-- name: drop-attempts
DELETE FROM attempt WHERE delivery = ?;

-- name: drop-deliveries
DELETE FROM delivery WHERE message = ?;

-- name: drop-scheduled
DELETE FROM scheduled WHERE message = ?;

-- name: drop-tags
DELETE FROM tag WHERE message = ?;

-- name: drop-message
DELETE FROM message WHERE number = ?;

-- name: pause
INSERT OR REPLACE INTO pause VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: resume
DELETE FROM pause WHERE account = ?;

-- name: get
SELECT value FROM meta WHERE name = ?;

-- name: set
UPDATE meta SET value = ? WHERE name = ?;

-- name: numbers
SELECT name, value FROM meta;

-- name: doubtful
SELECT CAST(message AS BLOB) FROM untold ORDER BY number;

-- name: add-doubtful
INSERT INTO untold (message) VALUES (?);

-- name: drop-doubtful
DELETE FROM untold;
