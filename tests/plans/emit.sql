-- Windows that give results early and late: each is a group of its own, kept until the watermark closes it.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
SET 'table.exec.emit.early-fire.enabled' = 'true';
SET 'table.exec.emit.early-fire.delay' = '1 min';
SET 'table.exec.emit.late-fire.enabled' = 'true';
SET 'table.exec.emit.late-fire.delay' = '0 s';
SET 'table.exec.emit.allow-lateness' = '1 h';

EXPLAIN SELECT HOP_START(rt, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) AS s, MAX(n) AS most
FROM (
  SELECT k, TUMBLE_ROWTIME(ts, INTERVAL '10' SECOND) AS rt, COUNT(*) AS n
  FROM e GROUP BY TUMBLE(ts, INTERVAL '10' SECOND), k
)
GROUP BY HOP(rt, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE);
