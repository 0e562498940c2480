-- DISTINCT is a GROUP BY of all columns.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT DISTINCT k, id / 10 AS tens FROM e;
