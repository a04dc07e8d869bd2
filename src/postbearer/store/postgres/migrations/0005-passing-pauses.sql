-- Whether an account goes on by itself, as only a limit of its provider's was reached.
ALTER TABLE pause ADD COLUMN passes boolean NOT NULL DEFAULT false;
