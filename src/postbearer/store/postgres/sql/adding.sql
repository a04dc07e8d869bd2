-- What a transaction adds, by table; each is a part of one statement (`additions.py`). A parameter holds a column of its
-- rows. The slot stands in the number of a message or a delivery, in its last six bits.

-- name: messages
INSERT INTO message (slot, number, id, accepted, client, envelope, received, size, sha256, eight_bit, is_binary, expires,
                     message_id, author, subject, report_of, people, send_at, tags)
SELECT (new.number & 63)::smallint, new.* FROM unnest(
  $1::bigint[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::boolean[],
  $10::boolean[], $11::float8[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::float8[],
  $18::text[]) AS new (number)
RETURNING id

-- name: contents
INSERT INTO content (slot, message, chunk, data)
SELECT (new.message & 63)::smallint, new.* FROM unnest($1::bigint[], $2::integer[], $3::bytea[]) AS new (message)

-- name: deliveries
INSERT INTO delivery (slot, number, message, priority, client, account, state, due, lease, attempt, began, states, doubts,
                      recipients, since, timed, several)
SELECT (new.number & 63)::smallint, new.* FROM unnest(
  $1::bigint[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::bigint[],
  $9::integer[], $10::float8[], $11::text[], $12::text[], $13::text[], $14::float8[], $15::boolean[],
  $16::boolean[]) AS new (number)

-- name: ready
-- Into the part that is in use at this very moment: into one that was left before, nothing is put any more.
INSERT INTO ready (ring, account, priority, client, due, delivery, turn)
SELECT (SELECT value FROM meta WHERE name = 'ring')::smallint, * FROM unnest(
  $1::text[], $2::smallint[], $3::text[], $4::float8[], $5::bigint[], $6::integer[])

-- name: outcomes
INSERT INTO outcome (slot, delivery, lease, attempt, counted, began, ended, doubtful, server, queue_id, error, said,
                     transcript)
SELECT (new.delivery & 63)::smallint, new.* FROM unnest(
  $1::bigint[], $2::bigint[], $3::integer[], $4::boolean[], $5::float8[], $6::float8[], $7::boolean[], $8::text[],
  $9::text[], $10::text[], $11::text[], $12::text[]) AS new (delivery)

-- name: events
INSERT INTO event (number, at, message, client, account, recipient, state, doubtful, said)
SELECT * FROM unnest(
  $1::bigint[], $2::float8[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::text[])

-- name: traffic
INSERT INTO tally_change (part, kind, account, at, count)
SELECT (SELECT value FROM meta WHERE name = 'tally')::smallint, 'to ' || state, '', minute, count
  FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS new (minute, state, count)

-- name: keys
INSERT INTO idempotency (client, key, digest, message, created)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[]) AS new (client, key)
 ORDER BY new.client, new.key
    ON CONFLICT DO NOTHING RETURNING 1
