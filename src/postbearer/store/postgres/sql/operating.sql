-- name: lock-audit
-- Each row holds the hash of the one before, so one is added at a time.
LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE;

-- name: last-audit
SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1;

-- name: add-audit
INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: drop-audit
DELETE FROM audit WHERE number <= $1;

-- name: audit-before
SELECT number, at, "by", known_by, action, account, message, recipient, detail, count, result, hash
  FROM audit WHERE number < $1 ORDER BY number DESC LIMIT $2;

-- name: audit-after
SELECT number, at, "by", known_by, action, account, message, recipient, detail, count, result, hash
  FROM audit WHERE number > $1 ORDER BY number LIMIT $2;

-- name: audit-about
SELECT number, at, "by", known_by, action, account, message, recipient, detail, count, result, hash
  FROM audit WHERE message = $1 AND message <> '' ORDER BY number DESC LIMIT $2;

-- name: nodes
SELECT run, name, expires, version, since, address, configuration, busy FROM node WHERE NOT stopped ORDER BY name, run;

-- name: add-job
INSERT INTO job (id, action, matching, account, "by", known_by, created, matched, place, last)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, coalesce((SELECT min(number) - 1 FROM message), 0),
       coalesce((SELECT max(number) FROM message), 0);

-- name: drop-jobs
DELETE FROM job WHERE number <= (SELECT max(number) FROM job) - $1 AND state <> 'running';

-- name: job
SELECT * FROM job WHERE id = $1;

-- name: lock-job
SELECT * FROM job WHERE id = $1 FOR UPDATE;

-- name: jobs
SELECT * FROM job ORDER BY number DESC LIMIT $1;

-- name: running-job
SELECT * FROM job WHERE state = 'running' ORDER BY number LIMIT $1;

-- name: advance-job
UPDATE job SET place = $2, done = done + $3, changed = changed + $4, refused = refused + $5,
       error = CASE WHEN $6 = '' THEN error ELSE $6 END
 WHERE id = $1;

-- name: end-job
UPDATE job SET state = $2, ended = $3, error = CASE WHEN $4 = '' THEN error ELSE $4 END
 WHERE id = $1 AND state = 'running' RETURNING 1;

-- name: count-matching
SELECT count(*) FROM message AS m WHERE true

-- name: step
-- Goes on with the conditions that are asked for, then `step-order`.
SELECT m.* FROM message AS m WHERE m.number > $1 AND m.number <= $2

-- name: step-order
 ORDER BY m.number LIMIT

-- name: where-workable
EXISTS (SELECT 1 FROM delivery AS d
         WHERE d.slot = m.slot AND d.message = m.number AND d.state IN ('w', 'h')
           AND (?account = '' OR d.account = ?account)
           AND (?statuses = ''
                OR translate(CASE WHEN m.send_at > ?now THEN translate(d.states, 'r', 's') ELSE d.states END, ?statuses, '')
                <> CASE WHEN m.send_at > ?now THEN translate(d.states, 'r', 's') ELSE d.states END))

-- name: webhooks
SELECT name, position, arrived, failing, error, disabled, disabled_at, dropped FROM webhook;

-- name: waiting-events
SELECT number, message, since, due, tries FROM webhook_event WHERE webhook = $1 ORDER BY number;

-- name: keep-webhook
INSERT INTO webhook VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (name) DO UPDATE
   SET position = excluded.position, arrived = excluded.arrived, failing = excluded.failing, error = excluded.error,
       disabled = excluded.disabled, disabled_at = excluded.disabled_at, dropped = excluded.dropped;

-- name: keep-event
INSERT INTO webhook_event
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::float8[], $5::float8[], $6::integer[])
    ON CONFLICT (webhook, number) DO UPDATE
   SET message = excluded.message, since = excluded.since, due = excluded.due, tries = excluded.tries;

-- name: drop-event
DELETE FROM webhook_event WHERE webhook = $1 AND number = ANY($2::bigint[]);

-- name: drop-webhook
DELETE FROM webhook WHERE name = $1;

-- name: drop-webhook-events
DELETE FROM webhook_event WHERE webhook = $1;
