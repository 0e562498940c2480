-- The rows of an array beside the row that it is in; what nobody reads of that is not repeated. Windows behind it.
CREATE TABLE n (id INT, ra ARRAY<ROW<p INT, q STRING>>, s ARRAY<STRING>, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
    WITH ('connector' = 'filesystem', 'path' = 'tests/data/nested.json', 'format' = 'json');
EXPLAIN SELECT window_start, p, COUNT(*)
FROM TUMBLE((SELECT ts, p FROM n CROSS JOIN UNNEST(ra) AS t LEFT JOIN UNNEST(s) AS u(tag) ON tag <> 'a'), DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, p;
