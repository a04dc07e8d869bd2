-- Who may hold leases, one row for each run of a node: a lease is the number of its run times 2^32, and a count. All
-- leases of a run end at `expires`, unless it renews that; what it leased is then anybody's to take.
CREATE TABLE node (
  run     INTEGER PRIMARY KEY,
  name    TEXT NOT NULL,
  expires REAL NOT NULL
);
