-- What a start found and nobody who runs the relay was told of yet: the start may have failed after it.
CREATE TABLE untold (
  number  INTEGER PRIMARY KEY,
  message TEXT NOT NULL  -- id of one that may be delivered twice
);

INSERT INTO meta VALUES ('unclean', 0), ('restored', 0), ('held', 0);
