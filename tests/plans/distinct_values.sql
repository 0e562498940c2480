-- Calls over different values of one argument share them; MAX(DISTINCT) is MAX.
CREATE TABLE e (k STRING, v INT, s STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
    WITH ('connector' = 'filesystem', 'path' = 'tests/data/keyed_events.csv', 'format' = 'csv');
EXPLAIN SELECT k, COUNT(DISTINCT v), SUM(DISTINCT v) FILTER (WHERE s = 'x'), MAX(DISTINCT v), VAR_POP(v)
FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE) GROUP BY k, window_start, window_end;
