-- A table that two statements of a set read is read once, with the columns of both.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE counts (k STRING, n BIGINT) WITH ('connector' = 'print');
CREATE TABLE copies (id INT, ts TIMESTAMP(3)) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');

EXPLAIN STATEMENT SET BEGIN
INSERT INTO counts SELECT k, COUNT(*) FROM e GROUP BY k;
INSERT INTO copies SELECT id, ts FROM e WHERE id > 0;
END;
