-- By which a commit is known that adds nothing else that would show it: of each series of numbers the count of the last
-- one. The number of a transaction does not tell, as it may be another's after a crash.
CREATE TABLE commit_mark (
  series bigint PRIMARY KEY,
  count  bigint NOT NULL,
  at     double precision NOT NULL
);
