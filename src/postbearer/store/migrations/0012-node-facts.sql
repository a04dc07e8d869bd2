-- What people are told of a node: which postbearer it runs, and since when.
ALTER TABLE node ADD COLUMN version TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN since REAL NOT NULL DEFAULT 0;
