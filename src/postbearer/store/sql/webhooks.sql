-- name: all
SELECT CAST(name AS BLOB), CAST(position AS INTEGER), CAST(arrived AS REAL), CAST(failing AS REAL),
       CAST(error AS BLOB), CAST(disabled AS BLOB), CAST(disabled_at AS REAL), CAST(dropped AS INTEGER)
  FROM webhook;

-- name: waiting
SELECT CAST(number AS INTEGER), CAST(message AS BLOB), CAST(since AS REAL), CAST(due AS REAL),
       CAST(tries AS INTEGER)
  FROM webhook_event WHERE webhook = ? ORDER BY number;

-- name: keep
INSERT OR REPLACE INTO webhook VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: keep-event
INSERT OR REPLACE INTO webhook_event VALUES (?, ?, ?, ?, ?, ?);

-- name: drop-event
DELETE FROM webhook_event WHERE webhook = ? AND number = ?;

-- name: drop
DELETE FROM webhook WHERE name = ?;

-- name: drop-events
DELETE FROM webhook_event WHERE webhook = ?;

-- name: needed
-- The oldest event that a webhook needs: behind its position, or kept to be sent again. One step in an index each.
SELECT min(needed)
  FROM (SELECT position + 1 AS needed FROM webhook
        UNION ALL
        SELECT (SELECT min(number) FROM webhook_event WHERE webhook = webhook.name) FROM webhook);
