-- No keys: partial results are gathered in one task.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT COUNT(*), SUM(id) FILTER (WHERE k = 'a'), MAX(ts) FROM e;
