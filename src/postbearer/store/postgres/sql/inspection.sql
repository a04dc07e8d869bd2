-- name: database
WITH part AS (
  SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE n.nspname = $1 AND c.relkind IN ('r', 'm')
), rows AS (
  SELECT coalesce(sum(n_live_tup), 0)::bigint AS live, coalesce(sum(n_dead_tup), 0)::bigint AS dead,
         max(greatest(last_autovacuum, last_vacuum)) AS vacuumed
    FROM pg_catalog.pg_stat_user_tables WHERE schemaname = $1
)
SELECT concat(pg_catalog.current_setting('server_version'), ' in ', pg_catalog.current_setting('server_encoding')) AS server,
       current_user::text AS role,
       coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false) AS encrypted,
       pg_catalog.current_setting('synchronous_standby_names') AS standbys,
       (SELECT count(*) FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))::int AS synchronous,
       (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit') AS synchronous_commit,
       pg_catalog.current_setting('autovacuum') AS autovacuum,
       (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(oid)), 0)::bigint FROM part) AS size,
       pg_catalog.pg_database_size(pg_catalog.current_database()) AS database_size,
       rows.live AS live_rows, rows.dead AS dead_rows,
       extract(epoch FROM pg_catalog.clock_timestamp() - rows.vacuumed)::float8 AS vacuumed,
       coalesce((SELECT extract(epoch FROM max(pg_catalog.clock_timestamp() - xact_start)) FROM pg_catalog.pg_stat_activity
                  WHERE backend_xmin IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()), 0)::float8 AS snapshot,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create
  FROM rows;

-- name: nodes
SELECT count(*)::int FROM node WHERE NOT stopped;
