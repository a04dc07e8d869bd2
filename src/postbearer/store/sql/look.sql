-- name: message
SELECT id, accepted, client, envelope, received, size, sha256, eight_bit, binary, expires,
       message_id, author, subject, report_of
  FROM message WHERE number = ?;

-- name: number
SELECT number FROM message WHERE id = ?;

-- name: accepted
SELECT accepted, number FROM message WHERE id = ?;

-- name: chunk
SELECT data FROM content WHERE place = ?;

-- name: rows
SELECT recipient.address, iif(delivery.state = 'l' AND recipient.state IN ('r', 'd'), 'l', recipient.state),
       delivery.account, delivery.priority, iif(recipient.state IN ('r', 'd'), delivery.due, NULL),
       delivery.attempt, coalesce(answer.reply, ''), coalesce(answer.cause, ''),
       coalesce(answer.remedy, ''), recipient.unknown
  FROM delivery
  JOIN recipient ON recipient.delivery = delivery.id
  LEFT JOIN answer ON answer.recipient = recipient.id
 WHERE delivery.message = ?
 ORDER BY recipient.id;

-- name: attempts
SELECT attempt.number, attempt.began, attempt.ended, attempt.server, attempt.queue_id, attempt.error,
       attempt.unknown
  FROM delivery JOIN attempt ON attempt.delivery = delivery.id
 WHERE delivery.message = ?
 ORDER BY attempt.began, delivery.id, attempt.number;

-- name: search
-- Goes on with the conditions that are asked for, then `search-order`.
SELECT number FROM message WHERE (accepted, number) > (:after_accepted, :after_number)

-- name: search-order
 ORDER BY accepted, number LIMIT :limit

-- name: where-id
id = :id

-- name: where-client
client = :client

-- name: where-message_id
iif(octet_length(message_id) = length(message_id), instr(lower(message_id), :message_id),
    instr(fold(message_id), :message_id))

-- name: where-older_than
accepted < :older_than

-- name: where-newer_than
accepted > :newer_than

-- name: where-account
EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.number AND account = :account)

-- name: where-statuses
EXISTS (SELECT 1 FROM delivery JOIN recipient ON recipient.delivery = delivery.id
         WHERE delivery.message = message.number
           AND instr(:statuses, iif(delivery.state = 'l' AND recipient.state IN ('r', 'd'),
                                    'l', recipient.state)))

-- name: where-statuses-of-few
-- From all recipients on, which is one walk through a narrow table.
number IN (SELECT delivery.message FROM recipient CROSS JOIN delivery ON delivery.id = recipient.delivery
            WHERE instr(:statuses, iif(delivery.state = 'l' AND recipient.state IN ('r', 'd'),
                                       'l', recipient.state)))

-- name: where-address
-- The text is folded already; `fold` is ours and slow, and what is all ASCII needs no more than `lower`.
(iif(octet_length(author) = length(author), instr(lower(author), :address), instr(fold(author), :address))
  OR iif(octet_length(envelope) = length(envelope),
         instr(lower(envelope ->> '$.reverse_path'), :address),
         instr(fold(envelope ->> '$.reverse_path'), :address))
  OR number IN (SELECT delivery.message FROM recipient JOIN delivery ON delivery.id = recipient.delivery
                 WHERE iif(octet_length(address) = length(address),
                           instr(lower(address), :address), instr(fold(address), :address))))

-- name: open
SELECT DISTINCT message FROM delivery WHERE message > ? AND state <> 'x' ORDER BY message LIMIT ?;

-- name: count
-- What is under way is few, and found by the index of leases.
WITH away AS (
  SELECT delivery.account, recipient.state, count(*) AS count
    FROM delivery JOIN recipient ON recipient.delivery = delivery.id
   WHERE delivery.state = 'l' AND recipient.state IN ('r', 'd')
   GROUP BY 1, 2
)
SELECT account, state, sum(count)
  FROM (SELECT account, state, count FROM tally
        UNION ALL SELECT account, state, -count FROM away
        UNION ALL SELECT account, 'l', count FROM away)
 GROUP BY 1, 2 HAVING sum(count) > 0;

-- name: waiting
-- One part for each of the indexes that hold nothing else.
SELECT pending.account, count(DISTINCT pending.message), min(message.accepted)
  FROM (SELECT account, message FROM delivery WHERE state = 'w'
        UNION ALL SELECT account, message FROM delivery WHERE state = 'l') AS pending
  JOIN message ON message.number = pending.message
 GROUP BY pending.account;

-- name: oldest-of-many
-- From the oldest message on: with many open ones, the first is soon found.
SELECT accepted FROM message
 WHERE EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.number AND state <> 'x')
 ORDER BY accepted LIMIT 1;

-- name: oldest-of-few
-- From the open deliveries on, by the indexes that hold nothing else.
SELECT min(message.accepted)
  FROM (SELECT message FROM delivery WHERE state = 'w'
        UNION ALL SELECT message FROM delivery WHERE state = 'l'
        UNION ALL SELECT message FROM delivery WHERE state = 'h') AS pending
  JOIN message ON message.number = pending.message;

-- name: pauses
SELECT account, since, reason, remedy, probe, probes FROM pause ORDER BY since;
