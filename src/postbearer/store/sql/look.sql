-- Texts are read as octets, and numbers cast: whatever a damaged row holds, it is read without an error.

-- name: message
-- Of an envelope of more than ?2 octets nothing is read.
SELECT CAST(id AS BLOB), CAST(accepted AS REAL), CAST(client AS BLOB),
       CAST(iif(octet_length(envelope) > ?2, '', envelope) AS BLOB),
       CAST(received AS BLOB), CAST(size AS INTEGER), CAST(sha256 AS BLOB), CAST(eight_bit AS INTEGER),
       CAST(binary AS INTEGER), CAST(expires AS REAL), CAST(message_id AS BLOB), CAST(author AS BLOB),
       CAST(subject AS BLOB), CAST(report_of AS BLOB),
       (SELECT CAST(send_at AS REAL) FROM scheduled WHERE scheduled.message = message.number),
       (SELECT CAST(json_group_array(json_array(CAST(name AS TEXT), CAST(value AS TEXT))) AS BLOB)
          FROM tag WHERE tag.message = message.number)
  FROM message WHERE number = ?1;

-- name: number
SELECT number FROM message WHERE id = ?;

-- name: accepted
SELECT CAST(accepted AS REAL), number FROM message WHERE id = ?;

-- name: chunk
SELECT data FROM content WHERE place = ?;

-- name: rows
-- Goes on with which: `rows-of` a message, or `rows-among` some.
SELECT CAST(recipient.address AS BLOB),
       CAST(iif(delivery.state = 'l' AND recipient.state IN ('r', 'd'), 'l', recipient.state) AS BLOB),
       CAST(delivery.account AS BLOB), CAST(delivery.priority AS INTEGER),
       CAST(iif(recipient.state IN ('r', 'd'), delivery.due, NULL) AS REAL), CAST(delivery.attempt AS INTEGER),
       CAST(coalesce(answer.reply, '') AS BLOB), CAST(coalesce(answer.cause, '') AS BLOB),
       CAST(coalesce(answer.remedy, '') AS BLOB), CAST(recipient.unknown AS INTEGER),
       delivery.id
  FROM delivery
  JOIN recipient ON recipient.delivery = delivery.id
  LEFT JOIN answer ON answer.recipient = recipient.id

-- name: rows-of
 WHERE delivery.message = ? ORDER BY recipient.id;

-- name: rows-among
 WHERE recipient.id IN (SELECT value FROM json_each(?)) ORDER BY recipient.id;

-- name: page
-- From delivery to delivery, in the order of both indexes: no recipient is read that is not shown, but for those that
-- are in another state than the one asked for. Who is ready waits in a delivery that does, or is held with it.
SELECT recipient.id
  FROM delivery CROSS JOIN recipient ON recipient.delivery = delivery.id AND recipient.id > :behind
 WHERE delivery.message = :message AND delivery.id >= :first
   AND (:letter <> 'r' OR delivery.state IN ('w', 'h')) AND (:letter <> 'l' OR delivery.state = 'l')
   AND (:letter = '' OR :letter = CASE WHEN delivery.state = 'l' AND recipient.state IN ('r', 'd') THEN 'l'
                                       ELSE recipient.state END)
 ORDER BY delivery.id, recipient.id LIMIT :most;

-- name: page-set-aside
-- By the index that holds nothing else. The deliveries of a message are made together, so their numbers follow each other.
SELECT recipient.id
  FROM recipient INDEXED BY recipient_set_aside CROSS JOIN delivery ON delivery.id = recipient.delivery
 WHERE recipient.state = :letter AND recipient.state IN ('d', 'h', 'f', 'e', 'c') AND recipient.id > :behind
   AND recipient.delivery >= max(:first, (SELECT min(id) FROM delivery WHERE message = :message))
   AND recipient.delivery <= (SELECT max(id) FROM delivery WHERE message = :message)
   AND delivery.message = :message AND (delivery.state <> 'l' OR :letter <> 'd')
 ORDER BY recipient.delivery, recipient.id LIMIT :most;

-- name: place
SELECT delivery.id FROM recipient JOIN delivery ON delivery.id = recipient.delivery
 WHERE recipient.id = ? AND delivery.message = ?;

-- name: fates-kept
-- Of a message whose recipients are counted as they change. What is under way is few, and found by the index of leases.
WITH away AS (
  SELECT recipient.state, count(*) AS count
    FROM delivery INDEXED BY delivery_leased CROSS JOIN recipient ON recipient.delivery = delivery.id
   WHERE delivery.state = 'l' AND delivery.message = ?1 AND recipient.state IN ('r', 'd')
   GROUP BY 1)
SELECT CAST(state AS BLOB), sum(count)
  FROM (SELECT state, count FROM fate WHERE message = ?1
        UNION ALL SELECT state, -count FROM away
        UNION ALL SELECT 'l', count FROM away)
 WHERE EXISTS (SELECT 1 FROM fate WHERE message = ?1)
 GROUP BY state HAVING sum(count) > 0;

-- name: fates
SELECT CAST(CASE WHEN delivery.state = 'l' AND recipient.state IN ('r', 'd') THEN 'l' ELSE recipient.state END AS BLOB),
       count(*)
  FROM delivery CROSS JOIN recipient ON recipient.delivery = delivery.id
 WHERE delivery.message = ? GROUP BY 1;

-- name: attempts
-- Goes on with which.
SELECT attempt.number, CAST(attempt.began AS REAL), CAST(attempt.ended AS REAL),
       CAST(attempt.server AS BLOB), CAST(attempt.queue_id AS BLOB), CAST(attempt.error AS BLOB),
       CAST(attempt.unknown AS INTEGER),
       CAST(coalesce((SELECT transcript.text FROM transcript
                       WHERE transcript.delivery = attempt.delivery AND transcript.number = attempt.number), '')
            AS BLOB),
       delivery.id
  FROM delivery JOIN attempt ON attempt.delivery = delivery.id

-- name: attempts-of
 WHERE delivery.message = ? ORDER BY attempt.began, delivery.id, attempt.number;

-- name: attempts-among
-- The last ones, backwards.
 WHERE delivery.id IN (SELECT value FROM json_each(?))
 ORDER BY attempt.began DESC, delivery.id DESC, attempt.number DESC LIMIT ?;

-- name: search
-- Goes on with the conditions that are asked for, then `search-order`.
SELECT number FROM message WHERE (accepted, number) > (:after_accepted, :after_number)

-- name: search-order
 ORDER BY accepted, number LIMIT :limit

-- name: where-id
id = :id

-- name: where-id_prefix
number IN (SELECT number FROM message WHERE id >= :id_prefix AND id < :id_prefix || char(0x10ffff))

-- name: where-client
client = :client

-- name: where-message_id
iif(octet_length(message_id) = length(message_id), instr(lower(message_id), :message_id),
    instr(fold(CAST(message_id AS BLOB)), :message_id))

-- name: where-report_of
number IN (SELECT number FROM message WHERE report_of = :report_of AND report_of <> '')

-- name: where-subject
iif(octet_length(subject) = length(subject), instr(lower(subject), :subject),
    instr(fold(CAST(subject AS BLOB)), :subject))

-- name: latest
SELECT CAST(accepted AS REAL) FROM message WHERE accepted < ? ORDER BY accepted DESC LIMIT 1 OFFSET ?;

-- name: where-older_than
accepted < :older_than

-- name: where-newer_than
accepted > :newer_than

-- name: where-account
EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.number AND account = :account)

-- name: where-statuses
EXISTS (SELECT 1 FROM delivery JOIN recipient ON recipient.delivery = delivery.id
         WHERE delivery.message = message.number
           AND instr(:statuses, CASE
                 WHEN delivery.state = 'l' AND recipient.state IN ('r', 'd') THEN 'l'
                 WHEN recipient.state = 'r' AND EXISTS (
                      SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at > :now
                    ) THEN 's'
                 ELSE recipient.state END))

-- name: where-statuses-of-few
-- From all recipients on, which is one walk through a narrow table.
number IN (SELECT delivery.message FROM recipient CROSS JOIN delivery ON delivery.id = recipient.delivery
            WHERE instr(:statuses, CASE
                    WHEN delivery.state = 'l' AND recipient.state IN ('r', 'd') THEN 'l'
                    WHEN recipient.state = 'r' AND EXISTS (
                         SELECT 1 FROM scheduled WHERE scheduled.message = delivery.message AND send_at > :now
                       ) THEN 's'
                    ELSE recipient.state END))

-- name: where-statuses-set-aside
-- By the indexes that hold nothing else.
number IN (
  SELECT delivery.message
    FROM json_each(:letters) AS wanted
    CROSS JOIN recipient INDEXED BY recipient_set_aside
      ON recipient.state = wanted.value AND recipient.state IN ('d', 'h', 'f', 'e', 'c')
    CROSS JOIN delivery ON delivery.id = recipient.delivery
   WHERE recipient.state <> 'd' OR delivery.state <> 'l'
  UNION ALL
  SELECT delivery.message
    FROM delivery INDEXED BY delivery_leased CROSS JOIN recipient ON recipient.delivery = delivery.id
   WHERE delivery.state = 'l' AND recipient.state IN ('r', 'd') AND instr(:statuses, 'l'))

-- name: where-statuses-of-few-open
-- The same, where few wait as well.
number IN (
  SELECT delivery.message
    FROM json_each(:letters) AS wanted
    CROSS JOIN recipient INDEXED BY recipient_set_aside
      ON recipient.state = wanted.value AND recipient.state IN ('d', 'h', 'f', 'e', 'c')
    CROSS JOIN delivery ON delivery.id = recipient.delivery
   WHERE recipient.state <> 'd' OR delivery.state <> 'l'
  UNION ALL
  SELECT delivery.message
    FROM delivery INDEXED BY delivery_leased CROSS JOIN recipient ON recipient.delivery = delivery.id
   WHERE delivery.state = 'l' AND recipient.state IN ('r', 'd') AND instr(:statuses, 'l')
  UNION ALL
  SELECT delivery.message
    FROM delivery INDEXED BY delivery_lane CROSS JOIN recipient ON recipient.delivery = delivery.id
   WHERE delivery.state = 'w' AND recipient.state = 'r' AND instr(:statuses, iif(timed AND since > :now, 's', 'r')))

-- name: where-tags
-- Each of them by one step in the index, and then on from those that have all.
number IN (
  SELECT tag.message
    FROM json_each(:tags) AS wanted
    CROSS JOIN tag INDEXED BY tag_value
      ON tag.name = wanted.value ->> 0 AND tag.value = wanted.value ->> 1
   GROUP BY tag.message HAVING count(*) = json_array_length(:tags))

-- name: where-address
-- The text is folded already; `fold` is ours and slow, and what is all ASCII needs no more than `lower`.
(iif(octet_length(author) = length(author),
     instr(lower(author), :address), instr(fold(CAST(author AS BLOB)), :address))
  OR iif(NOT json_valid(envelope), 0,
         iif(octet_length(envelope) = length(envelope),
             instr(lower(envelope ->> '$.reverse_path'), :address),
             instr(fold(CAST(envelope ->> '$.reverse_path' AS BLOB)), :address)))
  OR EXISTS (SELECT 1 FROM delivery JOIN recipient ON recipient.delivery = delivery.id
              WHERE delivery.message = message.number
                AND iif(octet_length(address) = length(address),
                        instr(lower(address), :address),
                        instr(fold(CAST(address AS BLOB)), :address))))

-- name: where-address-anywhere
-- From all senders and all recipients on: a walk through a narrow index, and one through a narrow table.
number IN (
  SELECT number
    FROM (SELECT number, author, iif(json_valid(envelope), envelope ->> '$.reverse_path', '') AS sender
            FROM message INDEXED BY message_senders)
   WHERE iif(octet_length(author) = length(author),
             instr(lower(author), :address), instr(fold(CAST(author AS BLOB)), :address))
      OR iif(octet_length(sender) = length(sender),
             instr(lower(sender), :address), instr(fold(CAST(sender AS BLOB)), :address))
  UNION ALL
  SELECT delivery.message FROM recipient CROSS JOIN delivery ON delivery.id = recipient.delivery
   WHERE iif(octet_length(address) = length(address),
             instr(lower(address), :address), instr(fold(CAST(address AS BLOB)), :address)))

-- name: where-sender
(iif(octet_length(author) = length(author),
     instr(lower(author), :sender), instr(fold(CAST(author AS BLOB)), :sender))
  OR iif(NOT json_valid(envelope), 0,
         iif(octet_length(envelope) = length(envelope),
             instr(lower(envelope ->> '$.reverse_path'), :sender),
             instr(fold(CAST(envelope ->> '$.reverse_path' AS BLOB)), :sender))))

-- name: where-sender-anywhere
number IN (
  SELECT number
    FROM (SELECT number, author, iif(json_valid(envelope), envelope ->> '$.reverse_path', '') AS sent_by
            FROM message INDEXED BY message_senders)
   WHERE iif(octet_length(author) = length(author),
             instr(lower(author), :sender), instr(fold(CAST(author AS BLOB)), :sender))
      OR iif(octet_length(sent_by) = length(sent_by),
             instr(lower(sent_by), :sender), instr(fold(CAST(sent_by AS BLOB)), :sender)))

-- name: where-recipient
EXISTS (SELECT 1 FROM delivery JOIN recipient ON recipient.delivery = delivery.id
         WHERE delivery.message = message.number
           AND iif(octet_length(address) = length(address),
                   instr(lower(address), :recipient), instr(fold(CAST(address AS BLOB)), :recipient)))

-- name: where-recipient-anywhere
number IN (
  SELECT delivery.message FROM recipient CROSS JOIN delivery ON delivery.id = recipient.delivery
   WHERE iif(octet_length(address) = length(address),
             instr(lower(address), :recipient), instr(fold(CAST(address AS BLOB)), :recipient)))

-- name: where-reply
EXISTS (SELECT 1 FROM delivery
          JOIN recipient ON recipient.delivery = delivery.id
          JOIN answer ON answer.recipient = recipient.id
         WHERE delivery.message = message.number
           AND (instr(fold(CAST(reply AS BLOB)), :reply) OR instr(fold(CAST(cause AS BLOB)), :reply)))

-- name: where-reply-anywhere
-- From all that was said on. Most of it is ASCII.
number IN (
  SELECT delivery.message
    FROM answer
    CROSS JOIN recipient ON recipient.id = answer.recipient
    CROSS JOIN delivery ON delivery.id = recipient.delivery
   WHERE iif(octet_length(reply) = length(reply),
             instr(lower(reply), :reply), instr(fold(CAST(reply AS BLOB)), :reply))
      OR iif(octet_length(cause) = length(cause),
             instr(lower(cause), :reply), instr(fold(CAST(cause AS BLOB)), :reply)))

-- name: where-soon
(accepted, number) <= (:last_accepted, :last_number)

-- name: further-on
SELECT accepted, number FROM message WHERE (accepted, number) > (?, ?)
 ORDER BY accepted, number LIMIT 1 OFFSET ?;

-- name: is-used
SELECT 1 FROM tally WHERE account = ? LIMIT 1;

-- name: open
SELECT DISTINCT message FROM delivery WHERE message > ? AND state <> 'x' ORDER BY message LIMIT ?;

-- name: count
-- What is under way is few, and found by the index of leases. What waits for a time is counted by it.
WITH away AS (
  SELECT delivery.account, iif(recipient.state = 'r' AND timed, 's' || since, recipient.state) AS state,
         count(*) AS count
    FROM delivery JOIN recipient ON recipient.delivery = delivery.id
   WHERE delivery.state = 'l' AND recipient.state IN ('r', 'd')
   GROUP BY 1, 2
)
SELECT CAST(account AS BLOB),
       CAST(iif(state > 's' AND state < 't', iif(CAST(substr(state, 2) AS REAL) > ?, 's', 'r'), state) AS BLOB)
         AS shown,
       sum(count)
  FROM (SELECT account, state, count FROM tally
        UNION ALL SELECT account, state, -count FROM away
        UNION ALL SELECT account, 'l', count FROM away)
 GROUP BY account, shown HAVING sum(count) > 0;

-- name: waiting
-- By the second in which the oldest might have left. What was there and has left leaves a 0 for a while; what had a
-- time that has come is summed up; what is under way is few, and found by the index of leases.
WITH pending AS (
  SELECT account,
         (SELECT second FROM backlog
           WHERE backlog.account = backlog_sum.account AND timed = 0 AND messages > 0 ORDER BY second LIMIT 1)
           AS second,
         messages
    FROM backlog_sum WHERE messages > 0
  UNION ALL
  SELECT backlog.account, second, messages
    FROM (SELECT DISTINCT account FROM tally) AS used
    CROSS JOIN backlog ON backlog.account = used.account AND timed = 1 AND second <= ? AND messages > 0
  UNION ALL
  SELECT account, CAST(since AS INTEGER), count(DISTINCT message) FROM delivery AS away
   WHERE state = 'l' AND NOT EXISTS (
         SELECT 1 FROM delivery AS other
          WHERE other.message = away.message AND other.state = 'w' AND other.account = away.account
          ORDER BY other.id DESC LIMIT 1)
   GROUP BY 1, 2)
SELECT CAST(account AS BLOB), sum(messages), CAST(min(second) AS REAL) FROM pending GROUP BY account;

-- name: oldest
-- The first second of each account, what is under way, and what is held.
SELECT CAST(min(since) AS REAL) FROM (
  SELECT (SELECT second FROM backlog
           WHERE backlog.account = used.account AND timed = 0 AND messages > 0 ORDER BY second LIMIT 1) AS since
    FROM (SELECT DISTINCT account FROM tally) AS used
  UNION ALL
  SELECT (SELECT second FROM backlog
           WHERE backlog.account = used.account AND timed = 1 AND second <= ?1 AND messages > 0
           ORDER BY second LIMIT 1)
    FROM (SELECT DISTINCT account FROM tally) AS used
  UNION ALL
  SELECT CAST(min(since) AS INTEGER) FROM delivery WHERE state = 'l'
  UNION ALL
  SELECT CAST(min(since) AS INTEGER) FROM delivery INDEXED BY delivery_held_since
   WHERE state = 'h' AND timed = 0
  UNION ALL
  SELECT CAST(min(since) AS INTEGER) FROM delivery INDEXED BY delivery_held_since
   WHERE state = 'h' AND timed = 1 AND since <= ?1);

-- name: pauses
SELECT CAST(account AS BLOB), CAST(since AS REAL), CAST(reason AS BLOB), CAST(remedy AS BLOB),
       CAST(probe AS REAL), CAST(probes AS INTEGER), CAST(passes AS INTEGER)
  FROM pause ORDER BY since;
