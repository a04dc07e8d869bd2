-- All of this is read by one statement each: while a part of the changes is added up and emptied, nobody may look at the
-- sum of before and the part of after.

-- name: statistics
SELECT account, CASE WHEN kind = 's' AND at <= $1::float8 THEN 'r' ELSE kind END AS letter, sum(count)::bigint AS count
  FROM (SELECT kind, account, at, count FROM tally WHERE kind = ANY($2::text[])
        UNION ALL
        SELECT kind, account, at, count FROM tally_change WHERE kind = ANY($2::text[])) AS each
 GROUP BY 1, 2 HAVING sum(count) <> 0;

-- name: oldest
SELECT min(at)
  FROM (SELECT kind, at
          FROM (SELECT kind, account, at, count FROM tally
                 WHERE kind = ANY('{waiting,held}') OR kind = ANY('{waiting-timed,held-timed}') AND at <= $1::float8
                UNION ALL
                SELECT kind, account, at, count FROM tally_change
                 WHERE kind = ANY('{waiting,held}') OR kind = ANY('{waiting-timed,held-timed}') AND at <= $1::float8) AS each
         GROUP BY kind, account, at HAVING sum(count) > 0) AS open;

-- name: waiting
SELECT account, sum(count)::bigint AS messages, floor(min(at)) AS oldest
  FROM (SELECT account, at, sum(count) AS count
          FROM (SELECT kind, account, at, count FROM tally
                 WHERE kind = 'waiting' OR kind = 'waiting-timed' AND at <= $1::float8
                UNION ALL
                SELECT kind, account, at, count FROM tally_change
                 WHERE kind = 'waiting' OR kind = 'waiting-timed' AND at <= $1::float8) AS each
         GROUP BY kind, account, at HAVING sum(count) > 0) AS open
 GROUP BY account;

-- name: traffic
-- `traffic` is where older nodes put it.
SELECT (floor(minute / $2::float8) * $2::float8) AS begins, state, sum(count)::bigint AS count
  FROM (SELECT at AS minute, substr(kind, 4) AS state, count FROM tally
         WHERE kind = ANY($3::text[]) AND account = '' AND at >= $1::float8
        UNION ALL
        SELECT at, substr(kind, 4), count FROM tally_change WHERE kind = ANY($3::text[]) AND at >= $1::float8
        UNION ALL
        SELECT minute, state, count FROM traffic WHERE minute >= $1::float8::bigint) AS each
 GROUP BY 1, 2 ORDER BY 1;

-- name: forget-traffic
WITH older AS (
  DELETE FROM traffic WHERE minute < $1::bigint
), last AS (
  DELETE FROM tally_change WHERE kind = ANY($2::text[]) AND at < $1::bigint
)
DELETE FROM tally WHERE kind = ANY($2::text[]) AND account = '' AND at < $1::bigint;

-- name: in-slot
-- How many deliveries it holds that are not gone for everybody.
SELECT coalesce(sum(count), 0)::bigint
  FROM (SELECT count FROM tally WHERE kind = 'slot' AND account = '' AND at = $1::float8
        UNION ALL
        SELECT count FROM tally_change WHERE kind = 'slot' AND at = $1::float8) AS each;

-- name: part-in-use
SELECT value::int FROM meta WHERE name = 'tally';

-- name: part-size
SELECT pg_relation_size('tally_change_PART');

-- name: lock-part
LOCK TABLE tally_change_PART IN ACCESS EXCLUSIVE MODE;

-- name: add-up
-- What comes to nothing goes.
WITH change AS MATERIALIZED (
  SELECT kind, account, at, sum(count) AS count FROM tally_change_PART GROUP BY kind, account, at HAVING sum(count) <> 0
), sums AS MATERIALIZED (
  SELECT c.kind, c.account, c.at, c.count + coalesce(t.count, 0) AS count
    FROM change AS c LEFT JOIN tally AS t ON t.kind = c.kind AND t.account = c.account AND t.at = c.at
), nothing AS (
  DELETE FROM tally AS t USING sums
   WHERE sums.count = 0 AND t.kind = sums.kind AND t.account = sums.account AND t.at = sums.at
)
INSERT INTO tally SELECT kind, account, at, count FROM sums WHERE count <> 0
    ON CONFLICT (kind, account, at) DO UPDATE SET count = excluded.count;

-- name: empty-part
TRUNCATE tally_change_PART;

-- name: lock-retired
-- One node retires at a time; nobody waits for it.
SELECT value FROM meta WHERE name = 'retired' FOR UPDATE SKIP LOCKED;

-- name: some-finished
-- When the first one ended that is too many for a step.
SELECT ended FROM finished WHERE ended < $1 ORDER BY ended OFFSET $2 LIMIT 1;

-- name: retire
-- What came to its end before $1 is gone for everybody, unless its message has something else: then it is once that
-- ended, too.
WITH due AS (
  DELETE FROM finished WHERE ended < $1 RETURNING slot, message
), gone AS MATERIALIZED (
  SELECT DISTINCT due.slot, due.message FROM due
   WHERE NOT EXISTS (SELECT 1 FROM delivery AS d
                      WHERE d.slot = due.slot AND d.message = due.message AND (d.state <> 'x' OR d.ended >= $1))
), less AS (
  INSERT INTO tally_change (part, kind, account, at, count)
  SELECT (SELECT value FROM meta WHERE name = 'tally')::smallint, t.kind,
         CASE t.kind WHEN 'slot' THEN '' ELSE d.account END AS of_account, t.at, -count(*)
    FROM gone JOIN delivery AS d ON d.slot = gone.slot AND d.message = gone.message
   CROSS JOIN LATERAL tallied(d.slot, d.state, d.states, d.since, d.timed, d.several) AS t
   GROUP BY t.kind, of_account, t.at
)
SELECT (SELECT count(*) FROM gone)::bigint AS gone, (SELECT count(*) FROM due)::bigint AS due;
