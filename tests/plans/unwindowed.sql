-- A GROUP BY without windows updates its results.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT k, COUNT(*) AS n, AVG(id) AS mean FROM e GROUP BY k;
