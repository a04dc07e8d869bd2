-- The outbox: messages that programs hand over within transactions of their own, by `send` and `send_raw`. Who may is
-- who was granted EXECUTE; nobody is from the beginning.

CREATE TABLE outbox (
  id      text COLLATE "C" PRIMARY KEY,  -- that of the message to be
  created double precision NOT NULL,
  role    text COLLATE "C" NOT NULL,     -- who logged in to the database
  request jsonb NOT NULL,                -- as programs of the relay's machine hand it over
  parts   jsonb,                         -- subject, text and html, where the relay makes the message of them
  content bytea                          -- else the message
);

ALTER TABLE outbox ALTER content SET STORAGE EXTERNAL;
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- What the relay did not take, for a person to look at.
CREATE TABLE outbox_refused (
  id      text COLLATE "C" PRIMARY KEY,
  created double precision NOT NULL,
  role    text COLLATE "C" NOT NULL,
  request jsonb NOT NULL,
  parts   jsonb,
  content bytea,
  refused double precision NOT NULL,
  reason  text NOT NULL
);

ALTER TABLE outbox_refused ALTER content SET STORAGE EXTERNAL;

CREATE INDEX outbox_refused_at ON outbox_refused (refused);

-- Until when relays look by themselves for what comes, as much does (milliseconds): nobody need wake them.
CREATE SEQUENCE outbox_awake AS bigint;

-- From here on: what `send` and its helpers mean by a name is what stands here, whatever the caller's path says.
SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION outbox_error(field text, wrong text, hint text) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
  RAISE EXCEPTION '%: %', field, wrong USING ERRCODE = 'invalid_parameter_value', COLUMN = field, HINT = hint;
END
$$;

-- As `queue_id.py` makes them: nine characters of time, seven of chance.
CREATE FUNCTION outbox_id() RETURNS text LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
  digits CONSTANT text := '0123456789abcdefghjkmnpqrstvwxyz';
  moment bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
  chance bigint := ('x' || left(translate(gen_random_uuid()::text, '-', ''), 12))::bit(48)::bigint;
  made text := '';
BEGIN
  FOR place IN REVERSE 8..0 LOOP
    made := made || substr(digits, ((moment >> (5 * place)) & 31)::int + 1, 1);
  END LOOP;
  FOR place IN REVERSE 6..0 LOOP
    made := made || substr(digits, ((chance >> (5 * place)) & 31)::int + 1, 1);
  END LOOP;
  RETURN made;
END
$$;

CREATE FUNCTION outbox_address(field text, address text) RETURNS text LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
  IF address IS NULL OR address = '' THEN
    PERFORM outbox_error(field, 'an address is missing', 'Give an address such as you@example.org.');
  ELSIF length(address) > 320 OR address ~ '[[:cntrl:]]' OR address !~ '^("[^"]+"|[^@[:space:]<>,;]+)@[^@[:space:]<>,;]+$' THEN
    PERFORM outbox_error(field, quote_literal(left(address, 80)) || ' is no address',
      'Give the bare address, without a name: you@example.org.');
  END IF;
  RETURN address;
END
$$;

-- The wishes beside a message, as the relay reads them.
CREATE FUNCTION outbox_options(options jsonb) RETURNS jsonb LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
  known CONSTANT text[] := '{account,digest,envid,key,notify,priority,ret,send_at,tags,traceparent,tracestate}';
  made jsonb := '{}';
  name text;
  value jsonb;
  at double precision;
BEGIN
  IF jsonb_typeof(options) <> 'object' THEN
    PERFORM outbox_error('options', 'it is no object', 'Give {"key": "order-4711"}, say.');
  END IF;
  FOR name, value IN SELECT * FROM jsonb_each(options) LOOP
    IF NOT name = ANY (known) THEN
      PERFORM outbox_error('options', 'there is no ' || quote_literal(left(name, 80)),
        'There are ' || array_to_string(known, ', ') || '.');
    ELSIF name IN ('priority', 'send_at', 'tags', 'notify') THEN
      CONTINUE;
    ELSIF jsonb_typeof(value) <> 'string' OR length(options ->> name) > (CASE name WHEN 'key' THEN 255 ELSE 1000 END) THEN
      PERFORM outbox_error(name, 'it is no text, or too long', 'A key has up to 255 characters.');
    ELSIF name = 'key' AND options ->> name !~ '^[ -~]+$' THEN
      PERFORM outbox_error(name, 'it holds what is no visible ASCII character', 'Name the message by what it is about: order-4711.');
    END IF;
    made := made || jsonb_build_object(name, value);
  END LOOP;
  IF options ? 'notify' THEN
    made := made || jsonb_build_object('notify', options -> 'notify');
  END IF;
  IF options ? 'priority' THEN
    CASE options ->> 'priority'
      WHEN 'urgent' THEN made := made || '{"priority": 4}';
      WHEN 'bulk' THEN made := made || '{"priority": -1}';
      WHEN 'normal' THEN NULL;
      ELSE
        IF jsonb_typeof(options -> 'priority') <> 'number' OR (options ->> 'priority')::numeric NOT IN
           (-9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) THEN
          PERFORM outbox_error('priority', 'there is no such one', 'It is urgent, normal or bulk.');
        END IF;
        made := made || jsonb_build_object('priority', (options ->> 'priority')::int);
    END CASE;
  END IF;
  IF options ? 'send_at' THEN
    IF jsonb_typeof(options -> 'send_at') = 'number' THEN
      at := (options ->> 'send_at')::numeric::double precision;
    ELSIF options ->> 'send_at' ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$' THEN
      at := extract(epoch FROM (options ->> 'send_at')::timestamptz);
    ELSE
      PERFORM outbox_error('send_at', 'it is no time with a zone', 'Give to_jsonb(now() + interval ''2 hours''), say.');
    END IF;
    IF at NOT BETWEEN 0 AND extract(epoch FROM clock_timestamp()) + 30 * 86400 THEN
      PERFORM outbox_error('send_at', 'a message is held for 30 days at most', 'Give an earlier time.');
    END IF;
    made := made || jsonb_build_object('send_at', at);
  END IF;
  IF options ? 'tags' THEN
    IF jsonb_typeof(options -> 'tags') <> 'object' THEN
      PERFORM outbox_error('tags', 'they are texts by name', 'Give {"customer": "42"}.');
    END IF;
    made := made || jsonb_build_object('tags', (
      SELECT coalesce(jsonb_agg(jsonb_build_array(tag.key, each.value) ORDER BY tag.key), '[]')
        FROM jsonb_each(options -> 'tags') AS tag
       CROSS JOIN LATERAL jsonb_array_elements(
         CASE jsonb_typeof(tag.value) WHEN 'array' THEN tag.value ELSE jsonb_build_array(tag.value) END) AS each));
    IF jsonb_path_exists(made -> 'tags', '$[*][1] ? (@.type() != "string")') THEN
      PERFORM outbox_error('tags', 'they are texts by name', 'Give {"customer": "42"}.');
    END IF;
  END IF;
  RETURN made;
END
$$;

CREATE FUNCTION outbox_add(sender text, recipients text[], options jsonb, parts jsonb, content bytea) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  made CONSTANT text := outbox_id();
  request jsonb := outbox_options(coalesce(options, '{}'));
BEGIN
  IF sender <> '' THEN  -- the null reverse-path is nobody's
    PERFORM outbox_address('sender', sender);
  ELSIF sender IS NULL OR parts IS NOT NULL THEN
    PERFORM outbox_error('sender', 'an address is missing', 'Give an address such as you@example.org.');
  END IF;
  IF coalesce(cardinality(recipients), 0) NOT BETWEEN 1 AND 1000 THEN
    PERFORM outbox_error('recipients', 'there are ' || coalesce(cardinality(recipients), 0),
      'A message has 1 to 1000: ARRAY[''you@example.org''].');
  END IF;
  PERFORM outbox_address('recipients', recipient) FROM unnest(recipients) AS recipient;
  request := request || jsonb_build_object('uid', 0, 'from', sender, 'to', recipients);
  IF NOT request ? 'key' THEN  -- what is taken over twice is there once
    request := request || jsonb_build_object('key', made, 'digest', '');
  ELSIF NOT request ? 'digest' THEN
    request := request || jsonb_build_object('digest', encode(sha256(convert_to(
      (request - 'send_at')::text || coalesce(parts::text, encode(sha256(content), 'hex')), 'UTF8')), 'hex'));
  END IF;
  INSERT INTO outbox VALUES (made, extract(epoch FROM clock_timestamp()), session_user, request, parts, content);
  -- Commits with a notification wait for each other, so there is none while the relays look by themselves.
  IF (SELECT last_value FROM outbox_awake) < extract(epoch FROM clock_timestamp()) * 1000 THEN
    PERFORM pg_notify(current_schema() || '.outbox', '');
  END IF;
  RETURN made;
END
$$;

-- Send a message that is whole, header and body (RFC 5322), once this transaction is committed. The id that it will have.
CREATE FUNCTION send_raw(sender text, recipients text[], content bytea, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF coalesce(octet_length(content), 0) NOT BETWEEN 1 AND 67108864 THEN
    PERFORM outbox_error('content', 'it has ' || coalesce(octet_length(content), 0) || ' octets',
      'Give a message with its header, of 64 MiB at most.');
  END IF;
  RETURN outbox_add(sender, recipients, options, NULL, content);
END
$$;

-- The same with a message that the relay makes of its parts.
CREATE FUNCTION send(sender text, recipients text[], subject text, text text, html text DEFAULT NULL,
                     options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF coalesce(subject, '') ~ '[[:cntrl:]]' OR length(subject) > 10000 THEN
    PERFORM outbox_error('subject', 'it holds a control character, or is too long', 'A subject is one line.');
  ELSIF coalesce(send.text, '') !~ '\S' AND coalesce(html, '') !~ '\S' THEN
    PERFORM outbox_error('text', 'the message is empty', 'Give a text, an html, or both.');
  ELSIF octet_length(coalesce(send.text, '')) + octet_length(coalesce(html, '')) > 67108864 THEN
    PERFORM outbox_error('text', 'it is too long', 'A message has 64 MiB at most.');
  END IF;
  RETURN outbox_add(sender, recipients, options, jsonb_build_object(
    'subject', coalesce(subject, ''), 'text', send.text, 'html', html), NULL);
END
$$;

-- What the relay did not take of what the caller handed over, the newest first.
CREATE FUNCTION refused(since timestamptz DEFAULT '-infinity') RETURNS TABLE (id text, at timestamptz, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT r.id, to_timestamp(r.refused), r.reason FROM outbox_refused AS r
   WHERE r.role = session_user AND to_timestamp(r.refused) >= since ORDER BY r.refused DESC
$$;

REVOKE ALL ON FUNCTION outbox_error, outbox_id, outbox_address, outbox_options, outbox_add, send_raw, send, refused FROM PUBLIC;
