-- Sinks with a primary key whose rows change: by the key where it may come from several tasks, straight where a key of the
-- query is within it, where rows only come, and where there is one task. Where rows of several keys of a query have one
-- primary key, ON CONFLICT says which of them stands.
CREATE TABLE e (k STRING, j STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE by_k (k STRING, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'print');
CREATE TABLE by_both (j STRING, k STRING, n BIGINT, PRIMARY KEY (k, j) NOT ENFORCED) WITH ('connector' = 'print');

EXPLAIN STATEMENT SET BEGIN
INSERT INTO by_k SELECT k, COUNT(*) FROM e GROUP BY k, j ON CONFLICT DO DEDUPLICATE;
INSERT INTO by_k SELECT UPPER(k), COUNT(*) FROM e GROUP BY k ON CONFLICT DO NOTHING;
INSERT INTO by_k SELECT k, COUNT(*) FROM e GROUP BY k UNION ALL SELECT j, COUNT(*) FROM e GROUP BY j ON CONFLICT DO ERROR;
INSERT INTO by_both SELECT MAX(j), k, COUNT(*) FROM e GROUP BY k;
INSERT INTO by_k SELECT MAX(k), COUNT(*) FROM e;
INSERT INTO by_k SELECT k, COUNT(*) FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY k, window_start, window_end;
END;
