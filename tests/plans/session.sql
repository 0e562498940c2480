-- Sessions by key, over conditions on rows, as a function in FROM and as a key of GROUP BY; windows over sessions.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT window_start, window_end, MAX(n) AS most
FROM TUMBLE((
  SELECT k, window_time AS rt, COUNT(*) AS n
  FROM SESSION(TABLE e PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE)
  WHERE id > 1
  GROUP BY k, window_start, window_end, window_time
), DESCRIPTOR(rt), INTERVAL '1' HOUR)
GROUP BY window_start, window_end
UNION ALL
SELECT SESSION_START(ts, INTERVAL '1' HOUR), SESSION_END(ts, INTERVAL '1' HOUR), SUM(id)
FROM e
GROUP BY SESSION(ts, INTERVAL '1' HOUR)
UNION ALL
SELECT window_start, ts, id
FROM SESSION(TABLE e PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE)
WHERE id > 1;
