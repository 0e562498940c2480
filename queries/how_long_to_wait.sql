-- How long should the watermark wait? A short wait gives early answers and leaves many flights out; a long one counts
-- nearly all and answers late. Here are 15 minutes and 3 hours over the same week, side by side.
--
-- Both are one job. Its late rows go to two tables, and a query over them at the end shows what each wait would cost.
--
-- verify: restore parallelism batch ordered
-- golden: hours_15m 133 rows, hours_3h 133 rows, late_15m 561 rows, late_3h 23 rows, stdout 2 rows
-- closes: hours_15m = hour_start + INTERVAL '1' HOUR
-- closes: hours_3h = hour_start + INTERVAL '1' HOUR
-- batch: hours_15m = SELECT hour_start, SUM(flights) FROM (
--   SELECT hour_start, flights FROM hours_15m UNION ALL SELECT window_start, 1 FROM late_15m
--   ) GROUP BY hour_start
-- batch: hours_3h = SELECT hour_start, SUM(flights) FROM (
--   SELECT hour_start, flights FROM hours_3h UNION ALL SELECT window_start, 1 FROM late_3h
--   ) GROUP BY hour_start

SET 'execution.checkpointing.interval' = '1 s';

CREATE TABLE flights_15m (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  WATERMARK FOR sched AS sched - INTERVAL '15' MINUTE
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE flights_3h (
  sched   TIMESTAMP(3),
  dep     TIMESTAMP(3),
  carrier STRING,
  flight  INT,
  origin  STRING,
  dest    STRING,
  WATERMARK FOR sched AS sched - INTERVAL '3' HOUR
) WITH (
  'connector' = 'filesystem',
  'path' = 'queries/data/flights_week1.csv',
  'format' = 'csv'
);

CREATE TABLE hours_15m (hour_start TIMESTAMP(3), flights BIGINT) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/hours_15m',
  'format' = 'csv'
);

CREATE TABLE hours_3h (hour_start TIMESTAMP(3), flights BIGINT) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/hours_3h',
  'format' = 'csv'
);

CREATE TABLE late_15m (
  carrier      STRING,
  flight       INT,
  window_start TIMESTAMP(3),
  lateness_ms  BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/late_15m',
  'format' = 'csv'
);

CREATE TABLE late_3h (
  carrier      STRING,
  flight       INT,
  window_start TIMESTAMP(3),
  lateness_ms  BIGINT
) WITH (
  'connector' = 'filesystem',
  'path' = '.beadline/out/late_3h',
  'format' = 'csv'
);

EXECUTE STATEMENT SET BEGIN
  INSERT INTO hours_15m
  SELECT window_start, COUNT(*)
  FROM TUMBLE(TABLE flights_15m, DESCRIPTOR(sched), INTERVAL '1' HOUR)
  GROUP BY window_start, window_end
  LATE RECORDS INTO late_15m;

  INSERT INTO hours_3h
  SELECT window_start, COUNT(*)
  FROM TUMBLE(TABLE flights_3h, DESCRIPTOR(sched), INTERVAL '1' HOUR)
  GROUP BY window_start, window_end
  LATE RECORDS INTO late_3h;
END;

SET 'execution.runtime-mode' = 'batch';

SELECT '15 minutes' AS wait, COUNT(*) AS late, MAX(lateness_ms) / 60000 AS latest_minutes
FROM late_15m
UNION ALL
SELECT '3 hours', COUNT(*), MAX(lateness_ms) / 60000
FROM late_3h
ORDER BY late DESC;
