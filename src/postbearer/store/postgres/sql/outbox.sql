-- name: take
-- Those that no other relay is about to take. Their ids are not in the order of commits: all are looked at.
SELECT id, created, role, request::text AS request, parts::text AS parts, coalesce(octet_length(content), 0) AS size
  FROM outbox WHERE NOT id = ANY($1::text[]) AND NOT role = ANY($2::text[]) ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED;

-- name: content
SELECT content FROM outbox WHERE id = $1;

-- name: taken
DELETE FROM outbox WHERE id = ANY($1::text[]);

-- name: refuse
WITH gone AS (DELETE FROM outbox WHERE id = $1 RETURNING *)
INSERT INTO outbox_refused (id, created, role, request, parts, content, refused, reason)
SELECT id, created, role, request, parts, content, $2::float8, $3 FROM gone;

-- name: forget
DELETE FROM outbox_refused WHERE refused < $1;

-- name: awake
SELECT setval('outbox_awake', $1);
