-- name: search
-- Goes on with the conditions that are asked for, then `search-order`. What is retired is not there.
SELECT m.* FROM message AS m
 WHERE (m.accepted, m.number) > ($1::float8, $2::bigint)
   AND EXISTS (SELECT 1 FROM delivery AS d
                WHERE d.slot = m.slot AND d.message = m.number AND (d.state <> 'x' OR d.ended >= $3::float8))

-- name: search-order
 ORDER BY m.accepted, m.number LIMIT

-- name: place
SELECT m.accepted, m.number FROM message AS m
 WHERE m.id = $1
   AND EXISTS (SELECT 1 FROM delivery AS d
                WHERE d.slot = m.slot AND d.message = m.number AND (d.state <> 'x' OR d.ended >= $2::float8));

-- name: where-id
m.id = ?

-- name: where-id_prefix
starts_with(m.id, ?)

-- name: where-report_of
m.report_of <> '' AND m.report_of = ?

-- name: where-client
m.client = ?

-- name: where-message_id
strpos(lower(m.message_id), ?) > 0

-- name: where-subject
strpos(lower(m.subject COLLATE "default"), ?) > 0

-- name: latest
SELECT accepted FROM message WHERE accepted < $1::float8 ORDER BY accepted DESC, number DESC LIMIT 1 OFFSET $2;

-- name: where-older_than
m.accepted < ?

-- name: where-newer_than
m.accepted > ?

-- name: where-account
EXISTS (SELECT 1 FROM delivery AS d WHERE d.slot = m.slot AND d.message = m.number AND d.account = ?)

-- name: where-statuses
EXISTS (SELECT 1 FROM delivery AS d
         WHERE d.slot = m.slot AND d.message = m.number
           AND translate(CASE WHEN d.state = 'l' THEN translate(d.states, 'rd', 'll')
                              WHEN m.send_at > ?now THEN translate(d.states, 'r', 's') ELSE d.states END, ?, '')
            <> CASE WHEN d.state = 'l' THEN translate(d.states, 'rd', 'll')
                    WHEN m.send_at > ?now THEN translate(d.states, 'r', 's') ELSE d.states END)

-- name: where-tags
-- The index finds those that may have it; of these, the ones that do.
m.tags <> '[]' AND m.tags::jsonb @> jsonb_build_array(?::text::jsonb) AND strpos(m.tags, ?) > 0

-- name: where-address
strpos(m.people, ?) > 0

-- name: where-sender
-- The first line of `people` is the sender.
(strpos(split_part(m.people, E'\n', 1), ?) > 0 OR strpos(lower(m.author COLLATE "default"), ?) > 0)

-- name: where-recipient
strpos(m.people, ?) > 0
AND EXISTS (SELECT 1 FROM delivery AS d, json_array_elements(d.recipients::json) AS each
             WHERE d.slot = m.slot AND d.message = m.number
               AND strpos(lower((each ->> 0) COLLATE "default"), ?) > 0)

-- name: where-reply
-- Of what was said about a recipient, the last.
EXISTS (SELECT 1
          FROM (SELECT DISTINCT ON (o.delivery, (each ->> 0)::int) each ->> 1 AS reply, each ->> 2 AS cause
                  FROM delivery AS d
                  JOIN outcome AS o ON o.slot = d.slot AND o.delivery = d.number,
                       json_array_elements(o.said::json) AS each
                 WHERE d.slot = m.slot AND d.message = m.number
                 ORDER BY o.delivery, (each ->> 0)::int, o.ended DESC, o.lease DESC) AS said
         WHERE strpos(lower(reply COLLATE "default"), ?) > 0 OR strpos(lower(cause COLLATE "default"), ?) > 0)

-- name: where-open
EXISTS (SELECT 1 FROM delivery AS d WHERE d.slot = m.slot AND d.message = m.number AND d.state <> 'x')

-- name: head
-- A message without its recipients. Of an envelope of more than $3 octets there is the front only.
SELECT m.slot, m.number, m.id, m.accepted, m.client,
       CASE WHEN octet_length(m.envelope) > $3 THEN '' ELSE m.envelope END AS envelope,
       left(m.envelope, $4) AS front,
       m.received, m.size, m.sha256, m.eight_bit, m.is_binary, m.expires, m.message_id, m.author, m.subject,
       m.report_of, m.send_at, m.tags
  FROM message AS m
 WHERE m.id = $1
   AND EXISTS (SELECT 1 FROM delivery AS d
                WHERE d.slot = m.slot AND d.message = m.number AND (d.state <> 'x' OR d.ended >= $2::float8));

-- name: page
-- Deliveries from one on, those with a recipient that has the letter $4, if that is not empty.
SELECT slot, message, number, account, priority, state, due, attempt, began, states, doubts, recipients
  FROM delivery
 WHERE slot = $1 AND message = $2 AND number >= $3
   AND ($4 = '' OR strpos(CASE WHEN state = 'l' THEN translate(states, 'rd', 'll') ELSE states END, $4) > 0)
 ORDER BY number LIMIT $5;

-- name: fates
SELECT CASE WHEN state = 'l' THEN translate(states, 'rd', 'll') ELSE states END AS letters, count(*) AS count
  FROM delivery WHERE slot = $1 AND message = $2 GROUP BY 1;

-- name: deliveries
SELECT slot, message, number, account, priority, state, due, attempt, began, states, doubts, recipients
  FROM delivery WHERE slot = ANY($1::smallint[]) AND message = ANY($2::bigint[]) ORDER BY number;

-- name: outcomes
SELECT delivery, attempt, counted, began, ended, doubtful, server, queue_id, error, said, transcript
  FROM outcome WHERE slot = ANY($1::smallint[]) AND delivery = ANY($2::bigint[]) ORDER BY ended, lease;

-- name: drop-keys
DELETE FROM idempotency
 WHERE created < $1::float8
   AND NOT EXISTS (
     SELECT 1 FROM message AS m JOIN delivery AS d ON d.slot = m.slot AND d.message = m.number
      WHERE m.id = idempotency.message AND (d.state <> 'x' OR d.ended >= $2::float8));

-- name: events
SELECT number, at, message, client, account, recipient, state, doubtful, said,
       (SELECT m.tags FROM message AS m WHERE m.id = event.message LIMIT 1) AS tags
  FROM event
 WHERE number > $1 AND number < pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20
   AND ($3 = '' OR message = $3)
 ORDER BY number LIMIT $2;

-- name: first-event-since
SELECT number FROM event
 WHERE at >= $1 AND number < pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20
 ORDER BY number LIMIT 1;

-- name: events-kept
SELECT coalesce(min(number), 0) AS first, coalesce(max(number), 0) AS last
  FROM event WHERE number < pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20;

-- name: forget-events
-- Some from the oldest on, and never the last. Up to the first that is not older than $1, or that a webhook needs and that
-- is not older than $2.
WITH needed AS (
  SELECT min(oldest) AS number
    FROM (SELECT position + 1 AS oldest FROM webhook UNION ALL SELECT min(number) FROM webhook_event) AS each
)
DELETE FROM event
 WHERE number IN (
   SELECT number FROM event
    WHERE number < coalesce((SELECT number FROM event
                              WHERE at >= $1 OR (number >= (SELECT number FROM needed) AND at >= $2)
                              ORDER BY number LIMIT 1),
                            (SELECT max(number) FROM event))
    ORDER BY number LIMIT $3)
RETURNING 1;
