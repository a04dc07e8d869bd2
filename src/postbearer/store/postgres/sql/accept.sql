-- name: known-ids
SELECT id FROM message WHERE id = ANY($1::text[]);

-- name: known-keys
SELECT i.client, i.key, i.digest, i.message
  FROM unnest($1::text[], $2::text[]) AS asked (client, key)
  JOIN idempotency AS i ON i.client = asked.client AND i.key = asked.key;

-- name: add-keys
INSERT INTO idempotency (client, key, digest, message, created)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[]) AS new (client, key)
 ORDER BY new.client, new.key
    ON CONFLICT DO NOTHING RETURNING 1;

-- name: add-messages
INSERT INTO message (slot, number, id, accepted, client, envelope, received, size, sha256, eight_bit, is_binary, expires,
                     message_id, author, subject, report_of, people, send_at, tags)
SELECT $1::smallint, * FROM unnest(
  $2::bigint[], $3::text[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::boolean[],
  $11::boolean[], $12::float8[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::float8[], $19::text[]);

-- name: add-contents
INSERT INTO content (slot, message, chunk, data)
SELECT $1::smallint, * FROM unnest($2::bigint[], $3::integer[], $4::bytea[]);

-- name: add-deliveries
INSERT INTO delivery (slot, number, message, priority, client, account, state, due, lease, attempt, began, states, doubts,
                      recipients, since, timed, several)
SELECT $1::smallint, * FROM unnest(
  $2::bigint[], $3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::float8[], $9::bigint[],
  $10::integer[], $11::float8[], $12::text[], $13::text[], $14::text[], $15::float8[], $16::boolean[], $17::boolean[]);

-- name: add-ready
-- Into the part that is in use at this very moment: into one that was left before, nothing is put any more.
INSERT INTO ready (ring, account, priority, client, due, delivery, turn)
SELECT (SELECT value FROM meta WHERE name = 'ring')::smallint, * FROM unnest(
  $1::text[], $2::smallint[], $3::text[], $4::float8[], $5::bigint[], $6::integer[]);

-- name: add-events
INSERT INTO event (number, at, message, client, account, recipient, state, doubtful, said)
SELECT * FROM unnest(
  $1::bigint[], $2::float8[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::text[]);

-- name: chunks
SELECT chunk, data FROM content WHERE slot = $1 AND message = $2 AND chunk >= $3 ORDER BY chunk LIMIT $4;

-- name: number-of
SELECT slot, number, sha256 FROM message WHERE id = $1;
