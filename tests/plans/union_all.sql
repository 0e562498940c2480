-- Two tables in one, then windows over both.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE f (id BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = 'in2', 'format' = 'json');
CREATE VIEW both_tables AS SELECT id, ts FROM e UNION ALL SELECT id, ts FROM f;

EXPLAIN SELECT window_start, SUM(id)
FROM TUMBLE(TABLE both_tables, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end;
