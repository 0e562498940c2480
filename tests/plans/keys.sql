-- By which columns rows are told apart: a primary key that is read, renamed and filtered, that is computed from, that is
-- one half of a union; groups within groups, and windows whose bounds are left out.
CREATE TABLE people (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'filesystem', 'path' = 'people', 'format' = 'csv');
CREATE TABLE e (k STRING, j STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');
CREATE TABLE named (name STRING, id INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'print');
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'print');
CREATE TABLE windows (j STRING, k STRING, ends TIMESTAMP(3), n BIGINT) WITH ('connector' = 'print');

EXPLAIN STATEMENT SET BEGIN
INSERT INTO named SELECT UPPER(name), person FROM (SELECT id AS person, name FROM people) WHERE person > 0;
INSERT INTO numbers SELECT id + 1 FROM people;
INSERT INTO named SELECT * FROM (SELECT name, id FROM people UNION ALL SELECT name, id FROM people);
INSERT INTO numbers SELECT MAX(n) FROM (SELECT k, j, COUNT(*) AS n FROM e GROUP BY k, j) WHERE n > 1;
INSERT INTO windows SELECT j, k, window_end, COUNT(*) FROM TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY k, j, window_start, window_end;
END;
