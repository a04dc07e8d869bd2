-- The version up to which the post steps were taken: what has to wait until no node of an older version is left.
ALTER TABLE version ADD COLUMN posted integer NOT NULL DEFAULT 0;

-- The version of the schema that a node was written for; 0 of one that says nothing.
ALTER TABLE node ADD COLUMN knows integer NOT NULL DEFAULT 0;
