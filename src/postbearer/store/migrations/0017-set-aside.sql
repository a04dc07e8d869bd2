-- What did not go well at once, by state: few of many, and what is sent at the first try never comes near it.
CREATE INDEX recipient_set_aside ON recipient (state, delivery) WHERE state IN ('d', 'h', 'f', 'e', 'c');
