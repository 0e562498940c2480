-- Rows are judged late once, and then stand once for each grouping set.
CREATE TABLE e (k STRING, v INT, s STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
    WITH ('connector' = 'filesystem', 'path' = 'tests/data/keyed_events.csv', 'format' = 'csv');
EXPLAIN SELECT window_start, k, s, SUM(v), GROUPING(s)
FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY window_start, window_end, ROLLUP (k, s);
