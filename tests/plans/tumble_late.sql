-- A window aggregate by key with its late table; the filter stands above the watermark.
CREATE TABLE e (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE per_minute (k STRING, window_start TIMESTAMP(3), n BIGINT, total INT)
WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');
CREATE TABLE late_rows (id INT, ts TIMESTAMP(3), `watermark` TIMESTAMP(3), reason STRING)
WITH ('connector' = 'filesystem', 'path' = 'late', 'format' = 'json');

EXPLAIN INSERT INTO per_minute
SELECT k, window_start, COUNT(*), SUM(id)
FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
WHERE id > 1
GROUP BY k, window_start, window_end
LATE RECORDS INTO late_rows;
