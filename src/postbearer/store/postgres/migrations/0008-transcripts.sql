-- What was said to the server and by it in an attempt that did not go well, without secrets.
ALTER TABLE outcome ADD COLUMN transcript text COLLATE "C" NOT NULL DEFAULT '';
