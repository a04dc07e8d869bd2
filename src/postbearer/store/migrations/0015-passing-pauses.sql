-- Whether an account goes on by itself, as only a limit of its provider's was reached.
ALTER TABLE pause ADD COLUMN passes INTEGER NOT NULL DEFAULT 0;
