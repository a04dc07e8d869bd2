-- Whoever looks for an id names all slots: the index begins with the slot, and else all of it would be read.

-- name: known-ids
SELECT id FROM message WHERE slot = ANY('{0,1,2,3,4,5,6,7}') AND id = ANY($1::text[]);

-- name: known-keys
SELECT i.client, i.key, i.digest, i.message
  FROM unnest($1::text[], $2::text[]) AS asked (client, key)
  JOIN idempotency AS i ON i.client = asked.client AND i.key = asked.key;

-- name: chunks
SELECT chunk, data FROM content WHERE slot = $1 AND message = $2 AND chunk >= $3 ORDER BY chunk LIMIT $4;

-- name: number-of
SELECT slot, number, sha256 FROM message WHERE slot = ANY('{0,1,2,3,4,5,6,7}') AND id = $1;
