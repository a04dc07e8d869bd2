-- name: oldest-writer
-- For how long the oldest transaction goes on that may write here, and the time.
SELECT coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - min(xact_start)), 0)::float8 AS age,
       extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time
  FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND usename = current_user AND backend_xid IS NOT NULL;

-- name: lanes
-- The first waiting delivery of each lane: from one lane to the next by a step in the index, however long they are.
WITH RECURSIVE lane AS (
  (SELECT account, priority, client FROM ready ORDER BY account, priority, client LIMIT 1)
  UNION ALL
  SELECT next.account, next.priority, next.client
    FROM lane CROSS JOIN LATERAL (
      SELECT account, priority, client FROM ready
       WHERE (account, priority, client) > (lane.account, lane.priority, lane.client)
       ORDER BY account, priority, client LIMIT 1) AS next
)
SELECT lane.account, lane.priority, lane.client, first.due, first.timed
  FROM lane
  LEFT JOIN unnest($1::text[], $2::smallint[], $3::text[], $4::float8[], $5::bigint[])
         AS known (account, priority, client, due, delivery) USING (account, priority, client)
 CROSS JOIN LATERAL (
    SELECT r.due, coalesce(m.send_at = r.due, false) AS timed FROM ready AS r
      JOIN delivery AS d ON d.slot = (r.delivery & 63) AND d.number = r.delivery
      JOIN message AS m ON m.slot = d.slot AND m.number = d.message
     WHERE r.account = lane.account AND r.priority = lane.priority AND r.client = lane.client
       AND (r.due, r.delivery) >= (coalesce(known.due, '-infinity'), coalesce(known.delivery, 0))
       AND d.state = 'w' AND d.turn = r.turn
     ORDER BY r.due, r.delivery LIMIT 1) AS first;

-- name: lanes-among
SELECT lane.account, lane.priority, lane.client, first.due, first.timed
  FROM unnest($1::text[], $2::smallint[], $3::text[], $4::float8[], $5::bigint[])
         AS lane (account, priority, client, due, delivery)
 CROSS JOIN LATERAL (
    SELECT r.due, coalesce(m.send_at = r.due, false) AS timed FROM ready AS r
      JOIN delivery AS d ON d.slot = (r.delivery & 63) AND d.number = r.delivery
      JOIN message AS m ON m.slot = d.slot AND m.number = d.message
     WHERE r.account = lane.account AND r.priority = lane.priority AND r.client = lane.client
       AND (r.due, r.delivery) >= (lane.due, lane.delivery)
       AND d.state = 'w' AND d.turn = r.turn
     ORDER BY r.due, r.delivery LIMIT 1) AS first;

-- name: claim
-- What other nodes are about to take is passed over. `base` is the lease before the first one. What is small comes with
-- its content, which saves a question for each.
WITH mine AS MATERIALIZED (
  SELECT first.slot, first.number, first.due, row_number() OVER () AS count
    FROM unnest($1::text[], $2::smallint[], $3::text[], $4::integer[], $7::float8[], $8::bigint[])
           AS lane (account, priority, client, most, due, delivery)
   CROSS JOIN LATERAL (
      SELECT d.slot, d.number, r.due FROM ready AS r
        JOIN delivery AS d ON d.slot = (r.delivery & 63) AND d.number = r.delivery
       WHERE r.account = lane.account AND r.priority = lane.priority AND r.client = lane.client AND r.due <= $5
         AND (r.due, r.delivery) >= (lane.due, lane.delivery)
         AND d.state = 'w' AND d.turn = r.turn
       ORDER BY r.due, r.delivery LIMIT lane.most
         FOR UPDATE OF d SKIP LOCKED) AS first
), taken AS (
  UPDATE delivery AS d
     SET state = 'l', lease = $6::bigint + mine.count, attempt = d.attempt + 1, began = $5
    FROM mine
   WHERE d.slot = mine.slot AND d.number = mine.number
  RETURNING mine.count, d.*
)
SELECT taken.count, taken.number AS delivery, taken.lease, taken.attempt, taken.account, taken.priority, taken.due,
       taken.client AS lane_client, taken.warned, taken.states, taken.doubts, taken.recipients, taken.began, message.*,
       CASE WHEN message.size <= $9 THEN
         (SELECT data FROM content AS c WHERE c.slot = message.slot AND c.message = message.number AND c.chunk = 0) END
         AS content
  FROM taken JOIN message ON message.slot = taken.slot AND message.number = taken.message
 ORDER BY taken.count;

-- name: settle
-- Where the lease is another one by now, nothing changes.
UPDATE delivery AS d
   SET state = new.state, lease = 0, attempt = new.attempt, due = coalesce(new.due, d.due), ended = new.ended,
       warned = d.warned OR new.warned, account = new.account, states = new.states, doubts = new.doubts,
       turn = d.turn + CASE WHEN new.state = 'w' THEN 1 ELSE 0 END
  FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::integer[], $6::float8[], $7::float8[], $8::boolean[],
              $9::text[], $10::text[], $11::text[])
    AS new (number, lease, state, attempt, due, ended, warned, account, states, doubts)
 WHERE d.slot = $1::smallint AND d.number = new.number AND d.state = 'l' AND d.lease = new.lease
RETURNING d.number, d.turn, d.due;

-- name: warn
UPDATE delivery SET warned = true WHERE slot = $1 AND number = $2 AND state = 'w' AND NOT warned RETURNING 1;

-- name: late
SELECT d.number AS delivery, 0::bigint AS lease, d.attempt, d.account, d.priority, d.client AS lane_client, d.warned,
       d.states, d.doubts, d.recipients, d.began, message.*
  FROM delivery AS d JOIN message ON message.slot = d.slot AND message.number = d.message
 WHERE d.account = $1 AND d.state = 'w' AND NOT d.warned AND greatest(message.send_at, message.accepted) < $2 AND d.number > $3
 ORDER BY d.number LIMIT $4;

-- name: changeable
SELECT d.slot, d.number, d.state, d.turn, d.due, d.priority, d.client AS lane_client, d.account, d.states, d.doubts,
       d.recipients, message.id, message.client, message.send_at
  FROM message JOIN delivery AS d ON d.slot = message.slot AND d.message = message.number
 WHERE message.slot = ANY('{0,1,2,3,4,5,6,7}') AND message.id = $1 AND d.state <> 'l'
 ORDER BY d.number FOR UPDATE OF d;

-- name: begin-life
-- Of a message whose time a person does not wait for: it is tried for as long as it would have been.
UPDATE message SET expires = expires - (greatest(send_at, accepted) - $2), send_at = NULL
 WHERE slot = ANY('{0,1,2,3,4,5,6,7}') AND id = $1 AND send_at > $2;

-- name: time-of
SELECT send_at FROM message WHERE slot = ANY('{0,1,2,3,4,5,6,7}') AND id = $1;

-- name: move
UPDATE delivery SET account = $3, due = $4, turn = $5 WHERE slot = $1 AND number = $2;

-- name: change
UPDATE delivery SET state = $3, due = $4, ended = $5, states = $6, turn = $7 WHERE slot = $1 AND number = $2;
