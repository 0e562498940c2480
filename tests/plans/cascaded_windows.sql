-- Minutes into hours: what a window emits has its window_time as its rowtime.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE VIEW per_minute AS
SELECT window_time AS minute_time, COUNT(*) AS n
FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, window_time;

EXPLAIN SELECT window_start, MAX(n)
FROM TUMBLE(TABLE per_minute, DESCRIPTOR(minute_time), INTERVAL '1' HOUR)
GROUP BY window_start, window_end;
