-- Messages by their tags; those without stand in no index.
CREATE INDEX message_tags ON message USING gin ((tags::jsonb) jsonb_path_ops) WHERE tags <> '[]';
