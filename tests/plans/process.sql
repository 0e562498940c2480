-- A function of a program: it reads all columns of its table, by key, and its rows have a time that windows go by. What WHERE
-- asks of its rows is asked behind it.
CREATE TABLE t (word STRING, number BIGINT, more INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '10' SECOND)
    WITH ('connector' = 'filesystem', 'path' = 'tests/data/nested.json', 'format' = 'json');
EXPLAIN SELECT window_start, word, MAX(sum)
FROM TUMBLE(
    (SELECT * FROM running_sum(input => TABLE t PARTITION BY word, on_time => DESCRIPTOR(ts)) WHERE word <> 'a'),
    DESCRIPTOR(rowtime), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, word;
