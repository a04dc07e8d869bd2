-- When the spool was open last (Unix seconds): the clock must not be behind that at the next start.
INSERT INTO meta VALUES ('seen', 0);
