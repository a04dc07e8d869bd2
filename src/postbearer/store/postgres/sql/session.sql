-- name: begin
-- What this transaction goes by, whatever the role, the database or a pooler says. A stronger wish of the
-- administrator (remote_apply) stays. Gives what is in effect, the transaction's number and the time.
SELECT pg_catalog.set_config('search_path', $1, true),
       pg_catalog.set_config('statement_timeout', '30s', true),
       pg_catalog.set_config('lock_timeout', '10s', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('enable_seqscan', $2, true),
       pg_catalog.set_config('enable_hashjoin', $2, true),
       pg_catalog.set_config('enable_mergejoin', $2, true),
       pg_catalog.set_config('enable_bitmapscan', $2, true),
       pg_catalog.set_config('enable_sort', $2, true),
       pg_catalog.set_config('plan_cache_mode', $5, true),
       pg_catalog.set_config('synchronous_commit',
         CASE WHEN NOT $4 THEN 'off'
              WHEN pg_catalog.current_setting('synchronous_commit') = 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
         true) AS synchronous_commit,
       CASE WHEN $3 THEN pg_catalog.pg_current_xact_id()::text ELSE '0' END AS number,
       extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time;

-- name: process
SELECT pg_catalog.pg_backend_pid();

-- name: places
-- Where what is new goes, and whether changes are kept.
SELECT name, value FROM meta;

-- name: touch
-- Something to commit: that waits for the standbys as any commit does.
UPDATE meta SET value = value WHERE name = 'slot';

-- name: has-message
SELECT EXISTS (SELECT 1 FROM message WHERE slot = $1::smallint AND number = $2::bigint AND id = $3::text);

-- name: has-outcome
SELECT EXISTS (SELECT 1 FROM outcome
                WHERE slot = $1::smallint AND delivery = $2::bigint AND lease = $3::bigint AND ended = $4::float8);

-- name: has-lease
SELECT EXISTS (SELECT 1 FROM delivery WHERE slot = $1::smallint AND number = $2::bigint AND lease = $3::bigint);

-- name: mark
INSERT INTO commit_mark VALUES ($1, $2, $3)
    ON CONFLICT (series) DO UPDATE SET count = excluded.count, at = excluded.at;

-- name: has-mark
SELECT EXISTS (SELECT 1 FROM commit_mark WHERE series = $1::bigint AND count = $2::bigint);

-- name: drop-marks
DELETE FROM commit_mark WHERE at < $1;

-- name: fate
-- Of a transaction by its number: that of a later one is larger, but for what a crash lost.
SELECT CASE WHEN $1::text::pg_catalog.xid8 > pg_catalog.pg_current_xact_id() THEN 'aborted'
            ELSE pg_catalog.pg_xact_status($1::text::pg_catalog.xid8) END;

-- name: server
SELECT pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.pg_is_in_recovery() AS standby,
       EXISTS (SELECT 1 FROM pg_catalog.pg_language WHERE lanname = 'plpgsql') AS procedures,
       pg_catalog.current_setting('fsync') AS fsync,
       pg_catalog.current_setting('full_page_writes') AS full_page_writes,
       pg_catalog.current_setting('synchronous_standby_names') AS standbys,
       pg_catalog.current_setting('autovacuum') AS autovacuum,
       extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time;

-- name: has-version
SELECT pg_catalog.to_regclass($1) IS NOT NULL;

-- name: version
SELECT version, application FROM version;

-- name: set-version
UPDATE version SET version = $1;

-- name: standbys
-- How many of them commits wait for are there.
SELECT count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum');
