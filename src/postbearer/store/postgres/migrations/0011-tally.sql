-- Counts, kept along, so that nobody has to count a million deliveries: by triggers, so that no statement and no older
-- node can forget it, and rolled back with what they count.

-- Since when a delivery might have left: accepted, or the time that its client named (`timed`). `several`: its message
-- may have other deliveries.
ALTER TABLE delivery ADD COLUMN since double precision NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN timed boolean NOT NULL DEFAULT false;
ALTER TABLE delivery ADD COLUMN several boolean NOT NULL DEFAULT false;

-- How many there are, as of the changes that were added up; those of `tally_change` come on top.
--
-- kind: r d h o f e c, recipients in that state · l, leased · s, that wait for the time `at` · waiting, messages that
-- wait or are under way, since `at` (waiting-timed: for a time, or behind it) · held, held-timed, deliveries · slot,
-- deliveries in the slot `at` · `to` and a state, recipients that came into it in the minute `at`
CREATE TABLE tally (
  kind    text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  at      double precision NOT NULL,
  count   bigint NOT NULL,
  PRIMARY KEY (kind, account, at)
) WITH (fillfactor = 50);

-- What commits change in these counts. Rows are only added, so that no commit waits for another one. Of two parts one is
-- in use; the other one is added up and emptied.
CREATE TABLE tally_change (
  part    smallint NOT NULL,
  kind    text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  at      double precision NOT NULL,
  count   bigint NOT NULL
) PARTITION BY LIST (part);

CREATE TABLE tally_change_0 PARTITION OF tally_change FOR VALUES IN (0);
CREATE TABLE tally_change_1 PARTITION OF tally_change FOR VALUES IN (1);

INSERT INTO meta VALUES ('tally', 0);

-- Deliveries that came to their end, until their message is gone for everybody.
CREATE TABLE finished (
  ended    double precision NOT NULL,
  slot     smallint NOT NULL,
  delivery bigint NOT NULL,
  message  bigint NOT NULL
);

CREATE INDEX finished_ended ON finished (ended);

-- From here on: what a function means by a name is what stands here, whatever the caller's path says.
SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(current_schema()) || ', pg_temp', true);
SELECT pg_catalog.set_config('statement_timeout', '0', true);

-- What a delivery counts as, but for its message where that may have several.
CREATE FUNCTION tallied(slot smallint, state text, states text, since double precision, timed boolean, several boolean)
RETURNS TABLE (kind text, at double precision) LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN state = 'l' AND letter IN ('r', 'd') THEN 'l' WHEN letter = 'r' AND timed THEN 's'
              WHEN strpos('rdhofec', letter) > 0 THEN letter ELSE 'h' END,
         CASE WHEN state <> 'l' AND letter = 'r' AND timed THEN since ELSE 0 END
    FROM unnest(string_to_array(states, NULL)) AS letter
  UNION ALL
  SELECT CASE WHEN state = 'h' THEN 'held' ELSE 'waiting' END || CASE WHEN timed THEN '-timed' ELSE '' END,
         CASE WHEN timed THEN since ELSE floor(since) END
   WHERE state = 'h' OR state IN ('w', 'l') AND NOT several
  UNION ALL
  SELECT 'slot', slot::double precision
$$;

CREATE FUNCTION tally_added() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO tally_change
  SELECT (SELECT value FROM meta WHERE name = 'tally')::smallint, each.kind, each.account, each.at, sum(each.count)
    FROM (
      SELECT t.kind, CASE t.kind WHEN 'slot' THEN '' ELSE d.account END AS account, t.at, 1::bigint AS count
        FROM added AS d CROSS JOIN LATERAL tallied(d.slot, d.state, d.states, d.since, d.timed, d.several) AS t
      UNION ALL
      SELECT CASE WHEN d.timed THEN 'waiting-timed' ELSE 'waiting' END, d.account,
             CASE WHEN d.timed THEN d.since ELSE floor(d.since) END, count(DISTINCT d.message)
        FROM added AS d WHERE d.several AND d.state IN ('w', 'l') GROUP BY d.timed, d.account, d.since) AS each
   GROUP BY each.kind, each.account, each.at;
  INSERT INTO finished SELECT d.ended, d.slot, d.number, d.message FROM added AS d WHERE d.state = 'x';
  RETURN NULL;
END
$$;

CREATE FUNCTION tally_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  WITH ended AS (
    INSERT INTO finished SELECT d.ended, d.slot, d.number, d.message FROM now AS d WHERE d.state = 'x'
  )
  INSERT INTO tally_change
  SELECT (SELECT value FROM meta WHERE name = 'tally')::smallint, t.kind,
         CASE t.kind WHEN 'slot' THEN '' ELSE d.account END AS of_account, t.at, sum(d.sign)
    FROM (SELECT 1 AS sign, slot, account, state, states, since, timed, several FROM now
          UNION ALL
          SELECT -1, slot, account, state, states, since, timed, several FROM before) AS d
   CROSS JOIN LATERAL tallied(d.slot, d.state, d.states, d.since, d.timed, d.several) AS t
   GROUP BY t.kind, of_account, t.at HAVING sum(d.sign) <> 0;
  IF EXISTS (SELECT 1 FROM now WHERE several) THEN
    -- Who changes another delivery of the same message at this moment waits, or is waited for: so each sees what the
    -- other one did, and one of them finds that none waits any more.
    PERFORM 1
       FROM (SELECT DISTINCT d.slot, d.message FROM now AS d WHERE d.several ORDER BY d.slot, d.message) AS place
      CROSS JOIN LATERAL (
        SELECT 1 FROM message AS m WHERE m.slot = place.slot AND m.number = place.message FOR NO KEY UPDATE) AS locked;
    INSERT INTO tally_change
    SELECT (SELECT value FROM meta WHERE name = 'tally')::smallint,
           CASE WHEN m.timed THEN 'waiting-timed' ELSE 'waiting' END, m.account,
           CASE WHEN m.timed THEN m.since ELSE floor(m.since) END AS at, sum(m.after::int - m.earlier::int)
      FROM (
        SELECT place.*, after.there IS NOT NULL AS after,
               others.there IS NOT NULL
               OR EXISTS (SELECT 1 FROM before AS d
                           WHERE d.slot = place.slot AND d.message = place.message AND d.state IN ('w', 'l')
                             AND (d.account, d.since, d.timed) = (place.account, place.since, place.timed)) AS earlier
          FROM (SELECT slot, message, account, since, timed FROM now WHERE several
                UNION
                SELECT slot, message, account, since, timed FROM before WHERE several) AS place
          LEFT JOIN LATERAL (
            SELECT true AS there FROM delivery AS d
             WHERE d.slot = place.slot AND d.message = place.message AND d.state IN ('w', 'l')
               AND (d.account, d.since, d.timed) = (place.account, place.since, place.timed)
             LIMIT 1) AS after ON true
          LEFT JOIN LATERAL (
            SELECT true AS there FROM delivery AS d
             WHERE d.slot = place.slot AND d.message = place.message AND d.state IN ('w', 'l')
               AND (d.account, d.since, d.timed) = (place.account, place.since, place.timed)
               AND d.number NOT IN (SELECT number FROM now)
             LIMIT 1) AS others ON true) AS m
     GROUP BY m.timed, m.account, at HAVING sum(m.after::int - m.earlier::int) <> 0;
  END IF;
  RETURN NULL;
END
$$;

-- Of a node that knows nothing of this.
CREATE FUNCTION tally_prepare() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  SELECT greatest(m.send_at, m.accepted), m.send_at IS NOT NULL, true INTO new.since, new.timed, new.several
    FROM message AS m WHERE m.slot = new.slot AND m.number = new.message;
  RETURN new;
END
$$;

-- A message that a person lets go waits for no time any more.
CREATE FUNCTION tally_begin_life() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  UPDATE delivery SET since = greatest(new.send_at, new.accepted), timed = new.send_at IS NOT NULL
   WHERE slot = new.slot AND message = new.number AND state <> 'x';
  RETURN NULL;
END
$$;

-- Count anew, as after a dump was restored that was made while the relays ran. Nobody else writes meanwhile.
CREATE FUNCTION recount() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  horizon double precision;
BEGIN
  LOCK TABLE delivery IN SHARE ROW EXCLUSIVE MODE;
  LOCK TABLE tally_change IN ACCESS EXCLUSIVE MODE;
  SELECT value INTO horizon FROM meta WHERE name = 'retired';
  DELETE FROM tally WHERE kind NOT LIKE 'to %';
  INSERT INTO tally SELECT kind, account, at, sum(count) FROM tally_change WHERE kind LIKE 'to %' GROUP BY kind, account, at
      ON CONFLICT (kind, account, at) DO UPDATE SET count = tally.count + excluded.count;
  TRUNCATE tally_change;
  DELETE FROM finished;
  WITH kept AS MATERIALIZED (
    SELECT d.* FROM delivery AS d
     WHERE d.state <> 'x' OR d.ended >= horizon
        OR EXISTS (SELECT 1 FROM delivery AS other
                    WHERE other.slot = d.slot AND other.message = d.message
                      AND (other.state <> 'x' OR other.ended >= horizon))
  ), over AS (
    INSERT INTO finished SELECT d.ended, d.slot, d.number, d.message FROM kept AS d WHERE d.state = 'x'
  )
  INSERT INTO tally
  SELECT each.kind, each.account, each.at, sum(each.count)
    FROM (
      SELECT t.kind, CASE t.kind WHEN 'slot' THEN '' ELSE d.account END AS account, t.at, count(*) AS count
        FROM kept AS d CROSS JOIN LATERAL tallied(d.slot, d.state, d.states, d.since, d.timed, d.several) AS t
       GROUP BY 1, 2, 3
      UNION ALL
      SELECT CASE WHEN d.timed THEN 'waiting-timed' ELSE 'waiting' END, d.account,
             CASE WHEN d.timed THEN d.since ELSE floor(d.since) END, count(DISTINCT (d.slot, d.message))
        FROM kept AS d WHERE d.several AND d.state IN ('w', 'l') GROUP BY d.timed, d.account, d.since) AS each
   GROUP BY each.kind, each.account, each.at;
END
$$;

UPDATE delivery AS d SET since = greatest(m.send_at, m.accepted), timed = m.send_at IS NOT NULL, several = true
  FROM message AS m WHERE m.slot = d.slot AND m.number = d.message AND d.state <> 'x';

CREATE TRIGGER tally_prepare BEFORE INSERT ON delivery
   FOR EACH ROW WHEN (new.since = 0) EXECUTE FUNCTION tally_prepare();
CREATE TRIGGER tally_added AFTER INSERT ON delivery
   REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tally_added();
CREATE TRIGGER tally_changed AFTER UPDATE ON delivery
   REFERENCING OLD TABLE AS before NEW TABLE AS now FOR EACH STATEMENT EXECUTE FUNCTION tally_changed();
CREATE TRIGGER tally_begin_life AFTER UPDATE OF send_at ON message
   FOR EACH ROW WHEN (new.send_at IS DISTINCT FROM old.send_at) EXECUTE FUNCTION tally_begin_life();

SELECT recount();

REVOKE ALL ON FUNCTION tallied, tally_added, tally_changed, tally_prepare, tally_begin_life, recount FROM PUBLIC;
