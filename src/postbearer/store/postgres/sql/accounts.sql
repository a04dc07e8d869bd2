-- name: token
SELECT version, record FROM token WHERE account = $1;

-- name: make-token
INSERT INTO token (account) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: save-token
-- Never newer by older.
UPDATE token SET record = $3, version = $2 + 1 WHERE account = $1 AND version = $2 RETURNING 1;

-- name: lock-token
-- Whether it is ours. An end that is further ahead than any can be was written before the clock of the database went back:
-- it counts from now on.
UPDATE token SET holder = CASE WHEN holder = '' OR held <= $3 THEN $2 ELSE holder END, held = $3 + $4
 WHERE account = $1 AND (holder = '' OR held <= $3 OR held > $3 + 2 * $4) RETURNING holder = $2;

-- name: unlock-token
UPDATE token SET holder = '' WHERE account = $1 AND holder = $2;

-- name: begin-sign-in
UPDATE token SET person = CASE WHEN person = '' OR signing <= $3 THEN $2 ELSE person END, signing = $3 + $4
 WHERE account = $1 AND (person = '' OR signing <= $3 OR signing > $3 + 2 * $4) RETURNING person = $2;

-- name: end-sign-in
UPDATE token SET person = '' WHERE account = $1 AND person = $2;

-- name: make-budget
INSERT INTO budget (mailbox) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: lock-budget
-- And when the charge $2 was made, if it is there.
SELECT last, turns, (SELECT at FROM charge WHERE mailbox = $1 AND number = $2) AS made
  FROM budget WHERE mailbox = $1 FOR NO KEY UPDATE;

-- name: charges
-- What others, and we, were charged with since the last look. The first look needs no older ones than $3.
SELECT number, at, recipients, undoes FROM charge WHERE mailbox = $1 AND number > $2 AND at > $3 ORDER BY number;

-- name: add-charge
WITH row AS (INSERT INTO charge (mailbox, number, at, recipients, undoes) VALUES ($1, $2, $3, $4, $5))
UPDATE budget SET last = $2, turns = $6 WHERE mailbox = $1;

-- name: keep-turns
UPDATE budget SET turns = $2 WHERE mailbox = $1;

-- name: forget-charges
DELETE FROM charge WHERE mailbox = $1 AND at < $2;

-- name: document
SELECT data FROM document WHERE name = $1;

-- name: write-document
INSERT INTO document VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET data = excluded.data;

-- name: put-document-aside
UPDATE document SET name = $1 || '.damaged' WHERE name = $1;

-- name: drop-document
DELETE FROM document WHERE name = $1 || '.damaged';

-- name: add-document
INSERT INTO document VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: make-hold
INSERT INTO hold (name) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: take-hold
UPDATE hold SET holder = CASE WHEN holder = '' OR held <= $3 THEN $2 ELSE holder END, held = $3 + $4
 WHERE name = $1 AND (holder = '' OR held <= $3 OR held > $3 + 2 * $4) RETURNING holder = $2;

-- name: end-hold
UPDATE hold SET holder = '' WHERE name = $1 AND holder = $2;
