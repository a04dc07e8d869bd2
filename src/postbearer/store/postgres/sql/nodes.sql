-- name: next-run
SELECT nextval('run');

-- name: add-node
INSERT INTO node (run, name, expires, version, since, knows, address, configuration, busy)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: renew-node
UPDATE node SET expires = $2, address = $3, configuration = $4, busy = $5, asked = false WHERE run = $1 RETURNING 1;

-- name: namesake
-- Another run of that name that may live.
SELECT run, since, address, asked FROM node
 WHERE name = $1 AND run <> $2 AND NOT stopped AND expires > extract(epoch FROM pg_catalog.clock_timestamp())
 ORDER BY run DESC LIMIT 1;

-- name: ask-node
UPDATE node SET asked = true WHERE run = $1 RETURNING 1;

-- name: is-asked
SELECT EXISTS (SELECT 1 FROM node WHERE run = $1 AND asked);

-- name: stop-node
-- A run that has nothing leased leaves no row behind.
UPDATE node SET stopped = true WHERE run = $1;

-- name: drop-node
DELETE FROM node WHERE run = $1;

-- name: others
SELECT EXISTS (SELECT 1 FROM node WHERE run <> $1);

-- name: drop-nodes
-- An end that is further ahead than any can be was written before the clock went back: it counts from now on.
WITH ahead AS (
  UPDATE node SET expires = $1::float8 + $3::float8 WHERE expires > $1::float8 + 2 * $3::float8 AND name <> $2
)
DELETE FROM node WHERE expires <= $1::float8 OR name = $2 RETURNING name, stopped;

-- name: ownerless
-- A walk over all deliveries; made when a run has just ended, and by each start.
SELECT d.slot, d.number, d.lease, d.attempt, d.began, d.account, d.priority, d.client AS lane_client, d.states, d.doubts,
       d.recipients, message.id, message.client
  FROM delivery AS d JOIN message ON message.slot = d.slot AND message.number = d.message
 WHERE d.state = 'l' AND NOT EXISTS (SELECT 1 FROM node WHERE run = d.lease >> 32)
 ORDER BY d.number FOR UPDATE OF d;

-- name: unheard
-- Leases of a run that nobody was told of: the answer to the commit that made them was lost.
SELECT d.slot, d.number, d.lease, d.attempt, d.began, d.account, d.priority, d.client AS lane_client, d.states, d.doubts,
       d.recipients, message.id, message.client
  FROM delivery AS d JOIN message ON message.slot = d.slot AND message.number = d.message
 WHERE d.state = 'l' AND d.lease >> 32 = $1::bigint >> 32 AND d.lease < $1 AND NOT d.lease = ANY($2::bigint[])
 ORDER BY d.number FOR UPDATE OF d;

-- name: add-untold
INSERT INTO untold (node, message) SELECT $1, * FROM unnest($2::text[]);

-- name: untold
SELECT message FROM untold WHERE node = $1 ORDER BY number;

-- name: told
DELETE FROM untold WHERE node = $1;

-- name: pause
INSERT INTO pause VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (account) DO UPDATE
   SET since = excluded.since, reason = excluded.reason, remedy = excluded.remedy, probe = excluded.probe,
       probes = excluded.probes, passes = excluded.passes;

-- name: resume
DELETE FROM pause WHERE account = $1 RETURNING 1;

-- name: pauses
SELECT account, since, reason, remedy, probe, probes, passes FROM pause ORDER BY since;

-- name: set
UPDATE meta SET value = $2 WHERE name = $1;

-- name: stir
SELECT nextval('change');

-- name: stirred
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.change;
