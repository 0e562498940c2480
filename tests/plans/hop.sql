-- Sliding windows share panes; HAVING stands behind the windows.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT k, window_end, AVG(id) AS mean, MIN(id) AS least
FROM HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)
GROUP BY k, window_start, window_end
HAVING COUNT(*) > 1;
