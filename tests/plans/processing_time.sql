-- Windows that the clock closes; the time of reading is a hidden column; a Calc that reads the time of day.
CREATE TABLE e (k STRING, pt AS PROCTIME()) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE f (k STRING, ts TIMESTAMP(3), pt AS PROCTIME(), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT k, window_start, COUNT(*) AS n, CURRENT_TIMESTAMP AS seen
FROM TUMBLE(TABLE e, DESCRIPTOR(pt), INTERVAL '1' MINUTE) GROUP BY k, window_start, window_end;

EXPLAIN SELECT window_start, COUNT(*)
FROM HOP((SELECT *, PROCTIME() AS p FROM f), DESCRIPTOR(p), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)
GROUP BY window_start, window_end;

EXPLAIN SELECT k, pt, NOW() AS n FROM f WHERE ts < LOCALTIMESTAMP;
