-- name: alone
-- One node at a time; nobody waits for it.
SELECT pg_try_advisory_xact_lock(1885491056, hashtext(current_schema()));

-- name: sizes
SELECT (SELECT value FROM meta WHERE name = 'slot')::int AS slot,
       (SELECT value FROM meta WHERE name = 'slot_since') AS slot_since,
       (SELECT value FROM meta WHERE name = 'ring')::int AS ring,
       (SELECT value FROM meta WHERE name = 'ring_since') AS ring_since,
       (SELECT value FROM meta WHERE name = 'retired') AS retired,
       extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time;

-- name: patience
-- Whoever reads a table for long keeps it from being emptied: then it is left for the next time.
SELECT set_config('lock_timeout', '50ms', true);

-- name: size
SELECT pg_relation_size(to_regclass($1));

-- name: sample-ready
-- Of some pages of a part, how many rows count, and how many there are.
SELECT count(*) FILTER (WHERE d.state = 'w' AND d.turn = r.turn) AS live, count(*) AS rows
  FROM ready_PART AS r TABLESAMPLE SYSTEM ($1)
  LEFT JOIN delivery AS d ON d.slot = (r.delivery & 63) AND d.number = r.delivery;

-- name: requeue
-- Its new row is due when the old one was: it waits at the same place, so no floor of any lane is behind it.
WITH looked AS MATERIALIZED (
  SELECT account, priority, client, due, delivery, turn FROM ready_PART
   WHERE (account, priority, client, due, delivery) > ($1::text, $2::smallint, $3::text, $4::float8, $5::bigint)
   ORDER BY account, priority, client, due, delivery FETCH FIRST $6 ROWS WITH TIES
), live AS MATERIALIZED (
  SELECT looked.*, d.slot FROM looked JOIN delivery AS d ON d.slot = (looked.delivery & 63) AND d.number = looked.delivery
   WHERE d.state = 'w' AND d.turn = looked.turn FOR UPDATE OF d
), moved AS (
  UPDATE delivery AS d SET turn = d.turn + 1 FROM live WHERE d.slot = live.slot AND d.number = live.delivery
  RETURNING live.account, live.priority, live.client, live.due, d.number, d.turn
), added AS (
  INSERT INTO ready (ring, account, priority, client, due, delivery, turn)
  SELECT (SELECT value FROM meta WHERE name = 'ring')::smallint, * FROM moved
)
SELECT account, priority, client, due, delivery FROM looked
 ORDER BY account DESC, priority DESC, client DESC, due DESC, delivery DESC LIMIT 1;

-- name: lock-ready
LOCK TABLE ready_PART IN ACCESS EXCLUSIVE MODE;

-- name: empty-ready
TRUNCATE ready_PART;

-- name: is-empty
SELECT NOT EXISTS (SELECT 1 FROM message WHERE slot = $1);

-- name: is-retired
-- What ended, and was not yet taken from the counts, is there as well.
SELECT NOT EXISTS (
  SELECT 1 FROM delivery
   WHERE slot = $1 AND (state <> 'x' OR ended >= least($2::float8, (SELECT min(ended) FROM finished))));

-- name: lock-slot
LOCK TABLE message_PART, delivery_PART, content_PART, outcome_PART IN ACCESS EXCLUSIVE MODE;

-- name: empty-slot
TRUNCATE message_PART, delivery_PART, content_PART, outcome_PART;

-- name: drop-retired
-- What is retired in a slot that something else keeps from being emptied, among some messages behind $3; where to go on.
WITH looked AS MATERIALIZED (
  SELECT number FROM message_PART WHERE slot = PART AND number > $3 ORDER BY number LIMIT $2
), gone AS MATERIALIZED (
  SELECT looked.number AS message FROM looked
   WHERE NOT EXISTS (
     SELECT 1 FROM delivery_PART AS d
      WHERE d.message = looked.number
        AND (d.state <> 'x' OR d.ended >= least($1::float8, (SELECT min(ended) FROM finished))))
), outcomes AS (
  DELETE FROM outcome_PART
   WHERE slot = PART AND delivery = ANY(ARRAY(SELECT d.number FROM delivery_PART AS d
                               WHERE d.message = ANY(ARRAY(SELECT message FROM gone))))
), contents AS (
  DELETE FROM content_PART WHERE slot = PART AND message = ANY(ARRAY(SELECT message FROM gone))
), deliveries AS (
  DELETE FROM delivery_PART WHERE message = ANY(ARRAY(SELECT message FROM gone))
), messages AS (
  DELETE FROM message_PART WHERE slot = PART AND number = ANY(ARRAY(SELECT message FROM gone))
)
SELECT max(number) FROM looked HAVING count(*) = $2;
