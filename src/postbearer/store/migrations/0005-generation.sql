-- Which spool this is, and how far it has come: an older copy of it is told by the number noted beside the file.
INSERT INTO meta VALUES ('identity', random() & 0x3fffffffffffffff), ('generation', 0);
