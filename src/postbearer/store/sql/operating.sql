-- name: add-audit
INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: last-audit
SELECT number, CAST(hash AS BLOB) FROM audit ORDER BY number DESC LIMIT 1;

-- name: drop-audit
DELETE FROM audit WHERE number <= ?;

-- name: audit-before
SELECT number, CAST(at AS REAL), CAST(by AS BLOB), CAST(known_by AS BLOB), CAST(action AS BLOB),
       CAST(account AS BLOB), CAST(message AS BLOB), CAST(recipient AS BLOB), CAST(detail AS BLOB),
       CAST(count AS INTEGER), CAST(result AS BLOB), CAST(hash AS BLOB)
  FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?;

-- name: audit-after
SELECT number, CAST(at AS REAL), CAST(by AS BLOB), CAST(known_by AS BLOB), CAST(action AS BLOB),
       CAST(account AS BLOB), CAST(message AS BLOB), CAST(recipient AS BLOB), CAST(detail AS BLOB),
       CAST(count AS INTEGER), CAST(result AS BLOB), CAST(hash AS BLOB)
  FROM audit WHERE number > ? ORDER BY number LIMIT ?;

-- name: audit-about
SELECT number, CAST(at AS REAL), CAST(by AS BLOB), CAST(known_by AS BLOB), CAST(action AS BLOB),
       CAST(account AS BLOB), CAST(message AS BLOB), CAST(recipient AS BLOB), CAST(detail AS BLOB),
       CAST(count AS INTEGER), CAST(result AS BLOB), CAST(hash AS BLOB)
  FROM audit WHERE message = ? AND message <> '' ORDER BY number DESC LIMIT ?;

-- name: nodes
SELECT run, CAST(name AS BLOB), CAST(expires AS REAL), CAST(version AS BLOB), CAST(since AS REAL)
  FROM node ORDER BY name, run;

-- name: add-job
INSERT INTO job (id, action, matching, account, by, known_by, created, matched, place, last)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, coalesce((SELECT min(number) - 1 FROM message), 0),
       coalesce((SELECT max(number) FROM message), 0);

-- name: drop-jobs
DELETE FROM job WHERE number <= (SELECT max(number) FROM job) - ? AND state <> 'running';

-- name: job
SELECT id, action, CAST(matching AS BLOB), account, by, known_by, created, matched, done, changed, refused,
       state, ended, error, place, last
  FROM job WHERE id = ?;

-- name: jobs
SELECT id, action, CAST(matching AS BLOB), account, by, known_by, created, matched, done, changed, refused,
       state, ended, error, place, last
  FROM job ORDER BY number DESC LIMIT ?;

-- name: running-job
SELECT id, action, CAST(matching AS BLOB), account, by, known_by, created, matched, done, changed, refused,
       state, ended, error, place, last
  FROM job WHERE state = 'running' ORDER BY number LIMIT 1;

-- name: advance-job
UPDATE job SET place = ?, done = done + ?, changed = changed + ?, refused = refused + ?,
       error = iif(?5 = '', error, ?5)
 WHERE id = ?;

-- name: end-job
UPDATE job SET state = ?, ended = ?, error = iif(?3 = '', error, ?3) WHERE id = ? AND state = 'running';

-- name: count-matching
-- From what is open on, by the indexes that hold nothing else.
SELECT count(*) FROM message
 WHERE number IN (SELECT message FROM delivery WHERE state = 'w'
                  UNION SELECT message FROM delivery WHERE state = 'h')

-- name: step
-- A stretch of the table, in its order: with the conditions that are asked for, then `step-order`.
SELECT number FROM message WHERE number > :place AND number <= :until

-- name: step-order
 ORDER BY number LIMIT :limit

-- name: where-workable
EXISTS (SELECT 1 FROM delivery JOIN recipient ON recipient.delivery = delivery.id
         WHERE delivery.message = message.number AND delivery.state IN ('w', 'h')
           AND iif(:account = '', 1, delivery.account = :account)
           AND instr(:statuses, CASE WHEN recipient.state = 'r' AND EXISTS (
                     SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at > :now
                   ) THEN 's' ELSE recipient.state END))

-- name: movable
SELECT DISTINCT delivery.id
  FROM message
  JOIN delivery ON delivery.message = message.number
  JOIN recipient ON recipient.delivery = delivery.id
 WHERE message.id = :message AND delivery.state IN ('w', 'h') AND delivery.account <> :target
   AND iif(:account = '', 1, delivery.account = :account)
   AND instr(:statuses, CASE WHEN recipient.state = 'r' AND EXISTS (
                     SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at > :now
                   ) THEN 's' ELSE recipient.state END);

-- name: move
-- Not before its time, if it has one.
UPDATE delivery
   SET account = ?1,
       due = max(?2, coalesce((SELECT send_at FROM scheduled WHERE scheduled.message = delivery.message), ?2))
 WHERE id = ?3;

-- name: open-recipients
SELECT count(*) FROM recipient WHERE delivery = ? AND state IN ('r', 'd', 'h');
