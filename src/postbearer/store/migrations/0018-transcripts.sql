-- What was said to the server and by it in an attempt that did not go well, without secrets.
CREATE TABLE transcript (
  delivery INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  text     TEXT NOT NULL,
  PRIMARY KEY (delivery, number)
) WITHOUT ROWID;
