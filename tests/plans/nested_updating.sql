-- An aggregate over an aggregate takes changes back.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT n, COUNT(*) AS keys, MAX(total) AS most
FROM (SELECT k, COUNT(*) AS n, SUM(id) AS total FROM e GROUP BY k)
GROUP BY n;
