-- A computed column, a view and a CTE end as one projection; unused columns are not read.
CREATE TABLE e (id INT, unused STRING, text STRING, ts AS CAST(text AS TIMESTAMP(3)), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE VIEW v (id, at_time, hour_of) AS SELECT id, ts, HOUR(ts) FROM e WHERE id IS NOT NULL;

EXPLAIN WITH late_hours AS (SELECT id, hour_of FROM v WHERE hour_of > 20)
SELECT id * 2 AS twice, hour_of FROM late_hours WHERE id < 100;
