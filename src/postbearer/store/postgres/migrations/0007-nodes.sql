-- What people want to know of a node, and whether somebody of its name asks if it lives.
ALTER TABLE node ADD COLUMN address text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN configuration text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN busy integer NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN asked boolean NOT NULL DEFAULT false;

-- Which node works on a document, such as what was told.
CREATE TABLE hold (
  name   text COLLATE "C" PRIMARY KEY,
  holder text COLLATE "C" NOT NULL DEFAULT '',
  held   double precision NOT NULL DEFAULT 0  -- until then, on the clock of the database
);
