-- Steps of a day share panes, grouped by the bounds or bare; windows over windows go by window_time.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT window_start, MAX(n) AS most
FROM TUMBLE((
  SELECT k, window_time AS rt, COUNT(*) AS n
  FROM CUMULATE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY, INTERVAL '2' HOUR)
  GROUP BY k, window_start, window_end, window_time
), DESCRIPTOR(rt), INTERVAL '6' HOUR)
GROUP BY window_start, window_end
UNION ALL
SELECT window_end, CAST(id AS BIGINT) FROM CUMULATE(TABLE e, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '1' MINUTE);
