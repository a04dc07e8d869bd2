-- name: alone
-- As who brings the schema up does; nobody waits for it.
SELECT pg_catalog.pg_try_advisory_xact_lock($1);

-- name: posted
SELECT posted, (SELECT min(knows) FROM node WHERE expires > extract(epoch FROM pg_catalog.clock_timestamp())) AS oldest
  FROM version;

-- name: set-posted
UPDATE version SET posted = $1;
