-- Windows as keys: the plan is that of the window functions, over windows of rows and over windows of windows.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');

EXPLAIN SELECT HOP_START(rt, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) AS s, MAX(n) AS most
FROM (
  SELECT k, TUMBLE_ROWTIME(ts, INTERVAL '10' SECOND) AS rt, COUNT(*) AS n
  FROM e
  GROUP BY k, TUMBLE(ts, INTERVAL '10' SECOND)
)
GROUP BY HOP(rt, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE);
