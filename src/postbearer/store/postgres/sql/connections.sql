-- name: hold
-- What a process holds, it holds from now on; nothing is given back if that has ended already.
INSERT INTO connection_holder AS h (name, node, ends) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET ends = greatest(h.ends, excluded.ends) WHERE h.ends > $4
RETURNING h.xmax = 0 AS inserted;

-- name: drop-ended
DELETE FROM connection_holder WHERE ends <= $1;

-- name: drop-node
-- Earlier runs of a relay: their connections ended with their processes.
DELETE FROM connection_holder WHERE node = $1;

-- name: wanted
-- Mailboxes that somebody else waits for a connection of, and whether it is one whose mail nobody else sends.
SELECT c.mailbox, bool_or(h.node = '') AS alone
  FROM connection AS c JOIN connection_holder AS h ON h.name = c.holder
 WHERE c.wanted > c.held AND c.asked > $2 AND c.holder <> $1 AND h.ends > $3
 GROUP BY c.mailbox;

-- name: lock
SELECT FROM budget WHERE mailbox = $1 FOR NO KEY UPDATE;

-- name: claimants
SELECT c.holder, c.number, c.held, CASE WHEN c.asked > $2 THEN c.wanted ELSE least(c.wanted, c.held) END AS wanted,
       c.since, h.node = '' AS alone
  FROM connection AS c JOIN connection_holder AS h ON h.name = c.holder
 WHERE c.mailbox = $1 AND h.ends > $3
 ORDER BY c.holder, c.number;

-- name: keep
INSERT INTO connection (mailbox, holder, number, held, wanted, since, asked) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (mailbox, holder, number) DO UPDATE
   SET held = excluded.held, wanted = excluded.wanted, since = excluded.since, asked = excluded.asked;

-- name: drop
DELETE FROM connection WHERE mailbox = $1 AND holder = $2 AND number = $3;
