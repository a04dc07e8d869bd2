-- name: is-restored
-- Whether these are not the tables that were made here; one node at a time finds out.
SELECT value <> 'ready'::regclass::oid::bigint FROM meta WHERE name = 'relation' FOR UPDATE;

-- name: is-known
UPDATE meta SET value = 'ready'::regclass::oid::bigint WHERE name = 'relation';

-- name: no-hurry
SELECT pg_catalog.set_config('statement_timeout', '0', true);

-- name: add-ready
-- One row more than needed does no harm: of those for one turn, whoever comes second finds that it is over.
INSERT INTO ready (ring, account, priority, client, due, delivery, turn)
SELECT (SELECT value FROM meta WHERE name = 'ring')::smallint, d.account, d.priority, d.client,
       greatest(d.due, extract(epoch FROM pg_catalog.clock_timestamp())::float8), d.number, d.turn
  FROM delivery AS d
 WHERE d.state = 'w' AND NOT EXISTS (SELECT 1 FROM ready AS r WHERE r.delivery = d.number AND r.turn = d.turn)
 ORDER BY d.due, d.number;

-- name: recount
SELECT recount();
