-- name: search
-- Goes on with the conditions that are asked for, then `search-order`. What is retired is not there. Of an envelope of
-- more than $4 octets there is the front only.
SELECT m.slot, m.number, m.id, m.accepted, m.client,
       CASE WHEN octet_length(m.envelope) > $4 THEN '' ELSE m.envelope END AS envelope,
       left(m.envelope, $5) AS front,
       m.received, m.size, m.sha256, m.eight_bit, m.is_binary, m.expires, m.message_id, m.author, m.subject,
       m.report_of, m.send_at, m.tags
  FROM message AS m
 WHERE (m.accepted, m.number) > ($1::float8, $2::bigint)
   AND EXISTS (SELECT 1 FROM delivery AS d
                WHERE d.slot = m.slot AND d.message = m.number AND (d.state <> 'x' OR d.ended >= $3::float8))

-- name: search-order
 ORDER BY m.accepted, m.number LIMIT

-- name: place
SELECT m.accepted, m.number FROM message AS m
 WHERE m.slot = ANY('{0,1,2,3,4,5,6,7}') AND m.id = $1
   AND EXISTS (SELECT 1 FROM delivery AS d
                WHERE d.slot = m.slot AND d.message = m.number AND (d.state <> 'x' OR d.ended >= $2::float8));

-- name: where-id
m.slot = ANY('{0,1,2,3,4,5,6,7}') AND m.id = ?

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
 WHERE m.slot = ANY('{0,1,2,3,4,5,6,7}') AND m.id = $1
   AND EXISTS (SELECT 1 FROM delivery AS d
                WHERE d.slot = m.slot AND d.message = m.number AND (d.state <> 'x' OR d.ended >= $2::float8));

-- name: page
-- Deliveries from one on, those with a recipient that has the letter $4, if that is not empty.
SELECT slot, message, number, account, priority, state, due, attempt, began, states, doubts, recipients
  FROM delivery
 WHERE slot = $1 AND message = $2 AND number >= $3
   AND ($4 = '' OR strpos(CASE WHEN state = 'l' THEN translate(states, 'rd', 'll') ELSE states END, $4) > 0)
 ORDER BY number LIMIT $5;

-- name: counts
-- Recipients of messages by state; what is none of the letters counts as held.
SELECT message, letter,
       sum(CASE letter WHEN 'h' THEN length(translate(letters, 'rldofec', ''))
                       ELSE length(letters) - length(replace(letters, letter, '')) END)::bigint AS count
  FROM (SELECT message, CASE WHEN state = 'l' THEN translate(states, 'rd', 'll') ELSE states END AS letters
          FROM delivery WHERE slot = ANY($1::smallint[]) AND message = ANY($2::bigint[])) AS each
 CROSS JOIN unnest('{r,l,d,h,o,f,e,c}'::text[]) AS letter
 GROUP BY message, letter
HAVING sum(CASE letter WHEN 'h' THEN length(translate(letters, 'rldofec', ''))
                       ELSE length(letters) - length(replace(letters, letter, '')) END) > 0;

-- name: first-deliveries
-- Of each message the first ones, until they have $5 recipients: those with one in the states $4 before others. The time
-- of a message that is `early` is still to come.
SELECT first.slot, first.message, first.number, first.account, first.priority, first.state, first.due, first.attempt,
       first.began, first.states, first.doubts, first.recipients
  FROM unnest($1::smallint[], $2::bigint[], $3::boolean[]) AS m (slot, number, early)
 CROSS JOIN LATERAL (
    SELECT few.*, sum(few.count) OVER (ORDER BY few.others, few.number) - few.count AS before
      FROM (SELECT d.*, fit.count = 0 AS others, CASE fit.count WHEN 0 THEN length(d.states) ELSE fit.count END AS count
              FROM delivery AS d
             CROSS JOIN LATERAL (
                SELECT CASE WHEN d.state = 'l' THEN translate(d.states, 'rd', 'll')
                            WHEN m.early THEN translate(d.states, 'r', 's') ELSE d.states END AS letters) AS shown
             CROSS JOIN LATERAL (
                SELECT length(letters) - CASE $4 WHEN '' THEN 0 ELSE length(translate(letters, $4, '')) END AS count) AS fit
             WHERE d.slot = m.slot AND d.message = m.number
             ORDER BY others, d.number LIMIT $5) AS few) AS first
 WHERE first.before < $5
 ORDER BY first.number;

-- name: said
SELECT delivery, said FROM outcome
 WHERE slot = ANY($1::smallint[]) AND delivery = ANY($2::bigint[]) ORDER BY ended, lease;

-- name: deliveries
SELECT slot, message, number, account, priority, state, due, attempt, began, states, doubts, recipients
  FROM delivery WHERE slot = ANY($1::smallint[]) AND message = ANY($2::bigint[]) ORDER BY number;

-- name: outcomes
SELECT delivery, attempt, counted, began, ended, doubtful, server, queue_id, error, said, transcript
  FROM outcome WHERE slot = ANY($1::smallint[]) AND delivery = ANY($2::bigint[]) ORDER BY ended, lease;

-- name: drop-keys
-- Some, the oldest first. The message of each key is looked for by itself, by the index, however many keys and messages there
-- are.
DELETE FROM idempotency
 WHERE (client, key) IN (
   SELECT i.client, i.key FROM idempotency AS i
    WHERE i.created < $1::float8
      AND (SELECT true FROM message AS m JOIN delivery AS d ON d.slot = m.slot AND d.message = m.number
            WHERE m.slot = ANY('{0,1,2,3,4,5,6,7}') AND m.id = i.message AND (d.state <> 'x' OR d.ended >= $2::float8)
            LIMIT 1) IS NULL
    ORDER BY i.created LIMIT $3)
RETURNING 1;

-- name: events
SELECT number, at, message, client, account, recipient, state, doubtful, said,
       (SELECT m.tags FROM message AS m WHERE m.slot = ANY('{0,1,2,3,4,5,6,7}') AND m.id = event.message LIMIT 1) AS tags
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
